#!/bin/sh
# The API server must answer through the HAProxy of this machine.
fail() {
	echo "check-apiserver: $1" >&2
	exit 1
}

ask() {
	curl --silent --fail --insecure --max-time 1 --output /dev/null "https://$1:6443/livez"
}

ask 127.0.0.1 || fail "no answer at 127.0.0.1"
# The machine with the address must answer there too.
if /sbin/ip -o address show | grep -q " 192\.0\.2\.100/"; then
	ask 192.0.2.100 || fail "no answer at 192.0.2.100"
fi
