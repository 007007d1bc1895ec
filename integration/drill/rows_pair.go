// SPDX-License-Identifier: Apache-2.0

package main

import (
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// The bounds of what happens to directors. Each allows the machine 50 or 100 ms for what it does.
func unnoticed() bound {
	return within(50*time.Millisecond, "nobody need notice it: make before break, or nothing to do")
}

func takeover() bound {
	return within(masterDown()+100*time.Millisecond, "master-down interval of the backup + 100 ms")
}

func givesWay() bound { return within(advert+100*time.Millisecond, "advertisement interval + 100 ms") }

func repaired() bound { return within(200*time.Millisecond, "told by netlink, put back at once") }

func looked() bound { return within(2*time.Second, "the table is looked at every second") }

func fromZero() bound {
	return within(masterDown()+3*time.Second, "start, first checks, master-down interval")
}

// What keepalived cannot be asked.
const (
	noCommand = "it has no such command"
	noState   = "it keeps no state"
)

func killRows() []row {
	return []row{
		{name: "master stopped (SIGTERM)", bound: unnoticed(),
			fault: signal(syscall.SIGTERM, first(master)), restore: restart(master)},
		{name: "master restarted (SIGTERM, start)", bound: givesWay(),
			fault: inTurn(signal(syscall.SIGTERM, first(master)), start(master)), over: returned},
		{name: "planned failover by command", bound: unnoticed(), fault: tandemRuns(master, "failover"),
			restore: tandemRuns(master, "release"), peer: noCommand},
		{name: "first process of the master killed (SIGKILL)", bound: unnoticed(),
			fault: signal(syscall.SIGKILL, first(master)), restore: restart(master)},
		{name: "VRRP process of the master killed (SIGKILL)", bound: unnoticed(),
			fault: signal(syscall.SIGKILL, election(master)), over: returned},
		{name: "checking process of the master killed (SIGKILL)", bound: unnoticed(), on: pair,
			fault: signal(syscall.SIGKILL, checker(master)), restore: restart(master)},
		{name: "all processes of the master killed (SIGKILL)", bound: takeover(),
			fault: signal(syscall.SIGKILL, all(master)), restore: restart(master)},
		{name: "all killed, started again at once", bound: takeover(),
			fault: inTurn(signal(syscall.SIGKILL, all(master)), start(master)), over: returned},
		{name: "backup stopped (SIGTERM)", bound: unnoticed(),
			fault: signal(syscall.SIGTERM, first(backup)), restore: restart(backup)},
		{name: "backup killed (SIGKILL of all)", bound: unnoticed(),
			fault: signal(syscall.SIGKILL, all(backup)), restore: restart(backup)},
		{name: "master stands still for 2 s (SIGSTOP, SIGCONT)", bound: takeover(),
			fault: stopped(2*time.Second, all(master)), over: returned},
		{name: "first process stands still for 2 s", bound: unnoticed(),
			fault: stopped(2*time.Second, first(master)), over: returned},
		{name: "VRRP process stands still for 2 s", bound: takeover(),
			fault: stopped(2*time.Second, election(master)), over: returned},
		{name: "backup stands still for 2 s", bound: unnoticed(), fault: stopped(2*time.Second, all(backup)), over: returned},
		{name: "machine of the master frozen for 2 s", cuts: true, bound: takeover(), fault: frozen, over: returned},
		{name: "both started at the same time, with checks", bound: fromZero(), on: pair, before: noDirector, fault: bothAtOnce,
			measure: fromNothing},
		{name: "cable of the master cut, with services", cuts: true, bound: takeover(), on: pair,
			fault: on(master, (*lab.Host).Cut), restore: on(master, (*lab.Host).Plug)},
		{name: "both started at the same time", bound: fromZero(), before: noDirector, fault: bothAtOnce, measure: fromNothing},
	}
}

// frozen takes the machine off the network while it stands still: its kernel answers nobody either.
func frozen(s *site) {
	s.a.Isolate()
	stopped(2*time.Second, all(master))(s)
	s.a.Rejoin()
}

func networkRows() []row {
	gone := func(lose func(*lab.Host)) step { return inTurn(on(master, lose), takenOver) }
	impaired := func(netem ...string) step {
		return func(s *site) {
			s.b.Impair(netem...)
			s.pause(6 * time.Second)
			s.b.Impair()
		}
	}
	lossy := func(s *site) { s.b.Impair("loss", "30%") }
	clean := func(s *site) { s.b.Impair() }
	return []row{
		{name: "cable of the master cut", cuts: true, bound: takeover(),
			fault: on(master, (*lab.Host).Cut), restore: on(master, (*lab.Host).Plug)},
		{name: "cable plugged in again", bound: givesWay(), before: gone((*lab.Host).Cut),
			fault: on(master, (*lab.Host).Plug), over: returned},
		{name: "cable of the master carries no packets, carrier stays up", cuts: true, bound: takeover(),
			fault: on(master, (*lab.Host).Isolate), restore: on(master, (*lab.Host).Rejoin)},
		{name: "partition heals, client in the loser's half", bound: givesWay(),
			before: inTurn(on(master, (*lab.Host).Isolate), takenOver, forgotten),
			fault:  on(master, (*lab.Host).Rejoin), over: returned},
		{name: "partition heals, client in the winner's half", bound: givesWay(),
			before: inTurn(on(backup, (*lab.Host).Isolate), takenOver), fault: on(backup, (*lab.Host).Rejoin), over: returned},
		{name: "cut for 200 ms", cuts: true, bound: within(300*time.Millisecond, "the cut + 100 ms"),
			fault: inTurn(on(master, (*lab.Host).Isolate), wait(200*time.Millisecond), on(master, (*lab.Host).Rejoin)),
			over:  returned},
		{name: "backup hears no multicast for 2 s", bound: givesWay(),
			fault: inTurn(on(backup, (*lab.Host).HoldMulticast), wait(2*time.Second), on(backup, (*lab.Host).PassMulticast)),
			over:  returned},
		{name: "power of the master lost", cuts: true, bound: takeover(), fault: powerOff(master),
			restore: inTurn(on(master, (*lab.Host).Plug), start(master))},
		{name: "power of the master is back", bound: givesWay(), before: inTurn(powerOff(master), takenOver),
			fault: inTurn(on(master, (*lab.Host).Plug), start(master)), over: returned},
		{name: "power of the master is back, with services", bound: givesWay(), before: inTurn(powerOff(master), takenOver),
			fault: inTurn(on(master, (*lab.Host).Plug), start(master)), over: returned, on: pair},
		{name: "power of the backup lost", bound: unnoticed(), fault: powerOff(backup),
			restore: inTurn(on(backup, (*lab.Host).Plug), start(backup))},
		{name: "10 % loss to the backup, 20 ms ± 20 ms late", bound: givesWay(), on: pair,
			fault: impaired("loss", "10%", "delay", "20ms", "20ms"), over: returned},
		{name: "20 % loss to the backup, 20 ms ± 20 ms late", bound: givesWay(), on: pair,
			fault: impaired("loss", "20%", "delay", "20ms", "20ms"), over: returned},
		{name: "30 % loss to the backup, 20 ms ± 20 ms late", bound: givesWay(), on: pair,
			fault: impaired("loss", "30%", "delay", "20ms", "20ms"), over: returned},
		{name: "planned failover while the backup loses 30 % of its packets", bound: givesWay(), on: pair,
			fault: inTurn(lossy, tandemRuns(master, "failover"), wait(time.Second), clean), restore: tandemRuns(master, "release"),
			peer: noCommand},
		{name: "packets to the backup doubled and out of order", bound: unnoticed(), on: pair,
			fault: impaired("delay", "30ms", "20ms", "duplicate", "50%", "reorder", "25%"), over: returned},
	}
}

func kernelRows() []row {
	renamed := inTurn(run(master, "ip", "link", "set", "eth0", "down"),
		run(master, "ip", "link", "set", "eth0", "name", "lan0"), run(master, "ip", "link", "set", "lan0", "up"))
	back := inTurn(run(master, "ip", "link", "set", "lan0", "down"),
		run(master, "ip", "link", "set", "lan0", "name", "eth0"), run(master, "ip", "link", "set", "eth0", "up"))
	const linkScope = "169.254.7.7/16"
	const own, vip, echo = "192.0.2.2/24", lab.VIP + "/24", lab.VIP + ":7"
	noServers := func(s *site) {
		for i := range webCount {
			s.a.Run("ipvsadm", "-d", "-u", echo, "-r", webAddress(i))
		}
	}
	return []row{
		{name: "VIP deleted", bound: repaired(),
			fault: run(master, "ip", "address", "del", vip, "dev", "eth0"), restore: mended(master)},
		{name: "director's own address deleted", bound: takeover(), fault: run(master, "ip", "address", "del", own, "dev", "eth0"),
			restore: inTurn(run(master, "ip", "address", "add", own, "dev", "eth0"), mended(master))},
		{name: "link-scope address added to the interface", bound: unnoticed(),
			fault:   run(master, "ip", "address", "add", linkScope, "scope", "link", "dev", "eth0"),
			restore: run(master, "ip", "address", "del", linkScope, "dev", "eth0")},
		{name: "IPVS table flushed (ipvsadm -C)", bound: looked(), on: pair,
			fault: run(master, "ipvsadm", "-C"), restore: mended(master)},
		{name: "service deleted by ipvsadm", bound: looked(), on: pair,
			fault: run(master, "ipvsadm", "-D", "-u", echo), restore: mended(master)},
		{name: "all servers of a service deleted by ipvsadm", bound: looked(), on: pair, fault: noServers, restore: mended(master)},
		{name: "link down", cuts: true, bound: takeover(), fault: run(master, "ip", "link", "set", "eth0", "down"),
			restore: run(master, "ip", "link", "set", "eth0", "up")},
		{name: "link up again", bound: givesWay(), before: inTurn(run(master, "ip", "link", "set", "eth0", "down"), takenOver),
			fault: run(master, "ip", "link", "set", "eth0", "up"), over: returned},
		{name: "link renamed", cuts: true, bound: takeover(), fault: renamed, restore: inTurn(back, mended(master))},
		{name: "link has its name again", bound: givesWay(), before: inTurn(renamed, takenOver), fault: back, over: returned},
	}
}

func strangerRows() []row {
	return []row{
		{name: "foreign pair with the same VRID, lower priority", bound: unnoticed(), fault: foreignPair(50), restore: undone},
		{name: "foreign pair with the same VRID, priority between", bound: unnoticed(), fault: foreignPair(120), restore: undone},
		{name: "foreign pair with the same VRID, higher priority", bound: unnoticed(), fault: foreignPair(200), restore: undone},
		{name: "forged advertisements sent to the master, 20,000/s", bound: unnoticed(), fault: forged(master)},
		{name: "forged advertisements at the backup, 20,000/s", bound: unnoticed(), fault: forged(backup)},
		{name: "ARP reply of a stranger for the VIP", bound: within(1500*time.Millisecond, "heard for 300 ms, asked, announced"),
			fault:   spoofed,
			restore: forgotten},
	}
}

func machineRows() []row {
	frozenDisk := func(s *site) { s.disk.Freeze() }
	thawed := func(s *site) { s.disk.Thaw() }
	ahead := once(func() error { return setClock(time.Hour) })
	behind := once(func() error { return setClock(-time.Hour) })
	unread := func(s *site) { s.running[s.a].LeaveUnread() }
	stop := signal(syscall.SIGTERM, first(master))
	hungry := reloads(master, func(c *settings) { c.hungry = true })
	return []row{
		{name: "wall clock one hour ahead", bound: unnoticed(), fault: ahead, shared: true, on: pair, vm: true},
		{name: "wall clock one hour back", bound: unnoticed(), fault: behind, shared: true, on: pair, vm: true},
		{name: "disk of the state frozen, master stopped", bound: unnoticed(), fault: inTurn(frozenDisk, wait(time.Second), stop),
			restore: inTurn(thawed, restart(master)), peer: noState, on: pair, vm: true},
		{name: "disk of the state frozen, cable cut", cuts: true, bound: takeover(),
			fault:   inTurn(frozenDisk, on(master, (*lab.Host).Cut)),
			restore: inTurn(thawed, on(master, (*lab.Host).Plug)), peer: noState, on: pair, vm: true},
		{name: "disk of the state full, master restarted", bound: givesWay(),
			fault: inTurn(fullDisk, stop, start(master)), over: returned,
			restore: emptiedDisk, peer: noState, on: pair, vm: true},
		{name: "disk of the state read-only, master restarted", bound: givesWay(),
			fault: inTurn(func(s *site) { s.disk.ReadOnly() }, stop, start(master)), over: returned,
			restore: func(s *site) { s.disk.Writable() }, peer: noState, on: pair, vm: true},
		{name: "state is nonsense, all killed and started", bound: takeover(),
			fault: inTurn(signal(syscall.SIGKILL, all(master)), badState, start(master)),
			over:  returned, peer: noState, on: pair, vm: true},
		{name: "no descriptor left for the checks, 4 s", bound: throughout, on: pair,
			fault: inTurn(noDescriptors(checker(master)), wait(4*time.Second)), restore: undone,
			measure: servedThroughout("web")},
		{name: "no descriptor left on the backup, cable of the master cut", cuts: true, bound: takeover(),
			fault:   inTurn(noDescriptors(all(backup)), on(master, (*lab.Host).Cut)),
			restore: inTurn(undone, on(master, (*lab.Host).Plug))},
		{name: "master has 10 % of a processor, 4 s", bound: throughout, on: pair, vm: true,
			fault:   inTurn(func(s *site) { s.a.LimitCPU(10) }, wait(4*time.Second)),
			restore: func(s *site) { s.a.LimitCPU(0) }, measure: servedThroughout("web")},
		{name: "check's program is gone", bound: throughout, before: checkedByProgram, fault: programGone,
			restore: reloads(master, unchanged), measure: servedThroughout("web"), on: pair},
		{name: "check's program takes 64 MB where 16 are free", bound: unnoticed(),
			fault:   inTurn(littleMemory(hungryBytes/4, hungry), wait(time.Second)),
			restore: inTurn(undone, reloads(master, unchanged)), on: pair, vm: true},
		{name: "checking process killed by the kernel for its memory", bound: unnoticed(), fault: killedForMemory(checker(master)),
			restore: inTurn(undone, restart(master)), on: pair, vm: true},
		{name: "VRRP process killed by the kernel for its memory", bound: unnoticed(), fault: killedForMemory(election(master)),
			restore: inTurn(undone, restart(master)), on: pair, vm: true},
		{name: "nobody reads the log, master stopped", bound: unnoticed(),
			fault: inTurn(unread, wait(2*time.Second), stop), restore: restart(master)},
		{name: "nobody reads the log, cable cut", cuts: true, bound: takeover(),
			fault:   inTurn(unread, wait(2*time.Second), on(master, (*lab.Host).Cut)),
			restore: inTurn(func(s *site) { s.running[s.a].ReadAgain() }, on(master, (*lab.Host).Plug))},
	}
}

func configurationRows() []row {
	missing := func(c *settings) { c.scheduler = "twos" }
	return []row{
		{name: "reload without a change", bound: unnoticed(), fault: reloads(master, unchanged), over: returned},
		{name: "reload with one service more", bound: unnoticed(), on: pair,
			fault:   reloads(master, func(c *settings) { c.more = true }),
			restore: reloads(master, unchanged)},
		{name: "reload that swaps the priorities", bound: givesWay(),
			fault:   reloads(master, func(c *settings) { c.priority = priorityB - 50 }),
			restore: reloads(master, unchanged)},
		{name: "reload of the backup with an interval ten times as long", bound: unnoticed(),
			fault: reloads(backup, func(c *settings) { c.advert = 10 * advert }), over: func(s *site) { s.pause(12 * advert) },
			restore: reloads(backup, unchanged)},
		{name: "broken reload of the backup in a failover", cuts: true, bound: takeover(),
			fault:   inTurn(on(master, (*lab.Host).Cut), reloads(backup, func(c *settings) { c.broken = true })),
			restore: inTurn(on(master, (*lab.Host).Plug), reloads(backup, unchanged), mended(backup))},
		{name: "scheduler's module missing, started beside a healthy peer", on: pair,
			bound: everyone("the healthy peer keeps the VIP"), before: inTurn(signal(syscall.SIGTERM, first(master)), takenOver),
			fault: func(s *site) {
				awaitEnd(s, s.a)
				c := s.settings(s.a)
				missing(&c)
				s.launchWith(s.a, c)
				s.pause(5 * time.Second)
			}, restore: restart(master), measure: servedAfter(0, "web")},
	}
}
