#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What the lab's machines have instead of systemd. It obeys the lines of unit files that the shipped ones need here.
fail() { echo "systemctl: $*" >&2; exit 1; }

start() {
	unit=/etc/systemd/system/$1.service
	[ -f "$unit" ] || fail "Unit $1.service not found"
	for d in $(sed -n 's/^RuntimeDirectory=//p' "$unit"); do mkdir -p "/run/$d"; done
	for d in $(sed -n 's/^StateDirectory=//p' "$unit"); do mkdir -p "/var/lib/$d"; done
	sed -n "s/^ExecStartPre=-+*//p" "$unit" | while read -r before; do $before >/dev/null 2>&1; done
	command=$(sed -n 's/^ExecStart=//p' "$unit")
	pause=$(sed -n 's/^RestartSec=\(.*\)s$/\1/p' "$unit")
	grep -q '^Type=notify' "$unit" && grep -q '^Restart=always' "$unit" && [ -n "$command" ] && [ -n "$pause" ] ||
		fail "$unit: no Type=notify, Restart=always, ExecStart, or RestartSec in seconds"
	rm -f /run/ready
	NOTIFY_SOCKET=/run/notify setsid sh -c "echo \$\$ >/run/$1.keeper
		while :; do $command & echo \$! >/run/$1.main; wait \$!; sleep $pause; done" >>"/run/$1.log" 2>&1 </dev/null &
	n=0
	until [ -e /run/ready ]; do
		[ $((n += 1)) -lt 300 ] || { cat "/run/$1.log" >&2; fail "$1.service is not ready"; }
		sleep 0.1
	done
}

case "$1 $2" in
"enable --now")
	start "$3"
	mkdir -p /etc/systemd/system/enabled
	touch "/etc/systemd/system/enabled/$3"
	;;
"disable --now")
	[ -e "/etc/systemd/system/enabled/$3" ] || fail "Unit $3.service is not enabled"
	rm "/etc/systemd/system/enabled/$3"
	kill -9 "$(cat "/run/$3.keeper")"
	main=$(cat "/run/$3.main")
	kill "$main"
	while [ -e "/proc/$main" ]; do sleep 0.1; done
	;;
"isolate default.target") # what happens at a boot
	rm -rf /run/*.keeper /run/*.main /run/tandem
	for file in /etc/sysctl.d/*.conf; do [ ! -e "$file" ] || sysctl -p "$file"; done
	for unit in /etc/systemd/system/enabled/*; do [ ! -e "$unit" ] || start "${unit##*/}"; done
	;;
*) fail "does not know $*" ;;
esac
