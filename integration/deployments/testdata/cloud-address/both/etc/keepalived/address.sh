#!/bin/sh
# Takes the address to this machine, or removes it.
echo "$@" >> /var/log/notify
case "$1" in
take)
	/sbin/ip address replace 192.0.2.100/24 dev eth0
	/usr/bin/arping -q -A -c 3 -I eth0 192.0.2.100
	;;
leave)
	/sbin/ip address del 192.0.2.100/24 dev eth0 2> /dev/null
	;;
esac
exit 0
