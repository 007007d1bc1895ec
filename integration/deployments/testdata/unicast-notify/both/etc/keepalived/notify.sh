#!/bin/sh
echo "$@" >> /var/log/notify
