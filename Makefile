# SPDX-License-Identifier: Apache-2.0
#
# make build      the binary, in bin/
# make deb        the Debian packages, in bin/, for amd64 and arm64 (make deb ARCH=arm64). The same commit makes the same bytes.
# make rpm        likewise the RPM packages
# make demo       the pair at work, in a lab, on a timeline
# make test       everything: unit tests with -race, fuzz seeds, namespace tests, scenarios on a kernel with IPVS
# make simulate   pairs on simulated time, with random faults (make simulate SECONDS=60 SEED=1)
#                 (make simulate ONLY='partition,failover' for a few kinds of faults)
# make stress     the tests that touch real time, N times (make stress N=50), and how often each of them failed
# make scorecard  what tandem doctor finds, whether its advice mends it, and how soon the finding goes: a table
# make soak       half an hour of SYN floods, flapping, slow and half-open clients: no real server is wrongly named
#                 (make soak SPAN=30m). It fails if a flood has less than half of its rate.
# make drill      the faults that pairs meet in the field, and what clients saw with tandem and with keepalived, as a table
#                 (make drill DRILL='-only kill')
# make drills     tandem drill on a pair with 200 connections: each kind, a drill that dies in the middle, builds of tandem that are broken
#                 on purpose, and a director that comes back, as tables (make drills DRILLS='-only kinds:')
# make servers    the checks of configs/checks.toml against Debian's MariaDB, PostgreSQL, Redis, memcached, OpenLDAP and FreeRADIUS:
#                 up, down and lying, as a table (make servers ONLY=redis)
# make matrix     a server dies: how many of 40 clients are served then, for each scheduler, TCP and UDP, with and without
#                 persistence
# make topologies  each shipped network, set up as its page says: the outages of clients when the master breaks
#                 (make topologies ONLY=nat)
# make imported   twelve configurations run with keepalived, and then with tandem, which imports them: the same IPVS table, addresses,
#                 routes and advertisements, or the differences (make imported ONLY=nat)
# make hmac       signed advertisements: a key is replaced on a live pair, replays after a restart, and what 100,000 forged packets a
#                 second cost the election process, and keepalived (make hmac FLOOD=5s)
# make hooks      a pair with Debian's HAProxy: HAProxy is killed, and keepalived does the same beside it. Then 500 transitions while
#                 hooks hang, fail, fork and print (make hooks HOOKS='-only soak -transitions 100')
# make masters    the network between two directors breaks in each way, with tandem and with keepalived: how long both have the VIP, how
#                 long nobody has it, and what a client sees, as a table (make masters MASTERS='-only heartbeat')
# make deployments  pairs as people build them, with the file that tandem import has made of a keepalived.conf, keepalived as the other
#                 director, and HAProxy, nginx, MariaDB or bind9 behind the address: who serves after each failure, and the outages of
#                 clients, as a table (make deployments ONLY=kubeadm)
# make channel    the channel between two directors is cut, slow, forged and full of lies: nothing happens to the election or to a client
# make hardened   the native tests and those on a kernel with IPVS, with directors that run as tandem.service runs them: not root, with its
#                 capabilities and system calls (make hardened HARDENED='TestHandOver')
# make previous   pairs of this version and a former one: election, hand-overs, the channel, and the change from one to the other
#                 (make previous PREVIOUS=REVISION)
# make fresh      the Debian package on fresh machines with systemd: install, pair up, fail over, upgrade from a former commit's package,
#                 remove, purge. What is left is nothing (make fresh FORMER=REVISION)
# make bench      tandem beside keepalived and ipvsadm, measured in one run. Some figures have a goal beside them: it fails if one
#                 misses its goal by a factor of 2.
# make probe      the part of make bench that is about tandem probe: a server pauses for 500 ms, and what tandem probe, vegeta and
#                 a client in a closed loop say about it; what a question each millisecond costs
# make browser    the report of tandem probe and the web page of a pair in headless Chromium, in both themes. The pictures are in
#                 bin/browser.
# make lint       gofmt, go vet, staticcheck
# make vulncheck  the known vulnerabilities in what the binary calls. It asks https://vuln.go.dev, or a copy of it
#                 (make vulncheck VULNDB=file:///srv/vulndb)
#
# Root is needed by all but build, deb, rpm, simulate, lint, vulncheck and clean: they make network namespaces, and most boot a kernel
# that has IPVS where this one has none. browser needs it only to install Debian's Chromium.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X main.released=$(VERSION)

.PHONY: build
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tandem ./cmd/tandem

ARCH ?= amd64,arm64
.PHONY: deb rpm
deb rpm:
	go run ./configs/package -format $@ -arch $(ARCH) -version '$(VERSION)'

.PHONY: demo
demo:
	go run ./integration/demo

# Two lanes at a time. Of each pair, one waits for most of its time or boots a kernel, and the other has what is left of the
# processors. The scenes on an emulated kernel are exact: what runs beside them has a lower priority, what only computes the
# lowest. Two emulated kernels at once, or one beside the native scenes, are too much for two cores. The timed tests come last in
# their lane: the other one is over by then, or nearly.
# What runs in the lab is built there without the race detector: a launcher built alike saves a second build.
# Of the others, some eighty test programs are linked in each run: without debugging information that takes a quarter less, and
# panics and data races are reported with file and line all the same. make lint has vetted them.
RACE    := -race -vet=off -ldflags=-w
MACHINE := ./integration/machine
KERNEL  := ./integration
NATIVE  := ./integration/native
TIMED   := ./vrrp/address ./vrrp/link ./vrrp/speaker ./cmd/tandem/internal/election/...
PURE    := ./vrrp ./configs/... ./cmd/tandem/internal/director/core ./cmd/tandem/internal/director/plan ./cmd/tandem/internal/importer \
           ./cmd/tandem/internal/peer/message ./cmd/tandem/internal/simulation/... ./integration/packages ./integration/purity \
           ./integration/shipped ./integration/stress
UNITS    = $(filter-out $(shell go list $(MACHINE) $(KERNEL) $(NATIVE) $(TIMED) $(PURE)), $(shell go list ./...))

.PHONY: test test-machine-native test-units-timed test-machine test-units test-native test-timed test-kernel test-pure
test:
	$(MAKE) -j 2 --output-sync=target test-machine-native test-units-timed
	$(MAKE) -j 2 --output-sync=target test-kernel test-pure

test-machine-native:
	$(MAKE) test-machine
	$(MAKE) test-native

test-units-timed:
	$(MAKE) test-units
	$(MAKE) test-timed

test-machine:
	CGO_ENABLED=0 go test -timeout 15m $(MACHINE)

test-units:
	nice -n 10 go test $(RACE) -p 1 -timeout 15m $(UNITS)

test-native:
	CGO_ENABLED=0 go test -timeout 15m $(NATIVE)

# The pure tests are compiled here, because the first kernel scenes need a machine that does not compile.
test-timed:
	go test $(RACE) -p 1 -timeout 15m $(TIMED)
	@nice -n 19 go test $(RACE) -p 1 -run '^$$' $(PURE) > /dev/null

test-kernel:
	CGO_ENABLED=0 go test -timeout 20m $(KERNEL)

test-pure:
	nice -n 19 go test $(RACE) -p 1 -timeout 15m $(PURE)

SECONDS ?= 60
SEED    ?= 1
SEEDS   ?= 0
.PHONY: simulate
simulate:
	go run ./cmd/tandem/internal/simulation/simulate -seconds $(SECONDS) -seed $(SEED) -seeds $(SEEDS) -only '$(ONLY)'

N ?= 20
.PHONY: stress
stress:
	go run ./integration/stress -n $(N)

SCORED := TestScorecard|TestTrafficNamesServers$$
.PHONY: scorecard
scorecard:
	@echo "breakage | found by | advice, carried out | gone after"; out=$$(mktemp) || exit 1; failed=0; \
	for package in $(NATIVE) $(KERNEL) $(MACHINE); do \
		CGO_ENABLED=0 go test $$package -run '$(SCORED)' -timeout 30m -v >$$out 2>&1 || failed=1; \
		sed -n -e 's/^.* scorecard: //p' -e '/FAIL/p' $$out; \
	done; rm -f $$out; exit $$failed

SPAN ?= 30m
.PHONY: soak
soak:
	CGO_ENABLED=0 go test -timeout 3h ./integration -run 'TestTrafficNamesServers$$' -v -soak $(SPAN)

.PHONY: drill
drill:
	go run ./integration/drill $(DRILL)

ONLY ?=
.PHONY: topologies
topologies:
	go run ./integration/topologies -only "$(ONLY)"

.PHONY: imported
imported:
	go run ./integration/imported -only "$(ONLY)"

.PHONY: servers
servers:
	go run ./integration/servers -only "$(ONLY)"

.PHONY: hooks
hooks:
	go run ./integration/hooks $(HOOKS)

.PHONY: masters
masters:
	go run ./integration/masters $(MASTERS)

.PHONY: drills
drills:
	go run ./integration/drills $(DRILLS)

.PHONY: deployments
deployments:
	go run ./integration/deployments -only "$(ONLY)"

.PHONY: matrix
matrix:
	go run ./integration/drill -only '^pools: .*without power' $(DRILL)

.PHONY: channel
channel:
	CGO_ENABLED=0 go test -count=1 -timeout 15m $(NATIVE) -run '^TestChannel' -v -channel

HARDENED ?= .
.PHONY: hardened
hardened:
	CGO_ENABLED=0 go test -count=1 -timeout 20m $(NATIVE) -run '$(HARDENED)' -v -hardened
	CGO_ENABLED=0 go test -count=1 -timeout 30m $(KERNEL) -run '$(HARDENED)' -v -hardened

# A clone may have the latest commits only.
PREVIOUS ?= 10a9d5246aa3ec3125b6356ccac2153656b2f220
.PHONY: previous
previous:
	@git cat-file -e '$(PREVIOUS)^{commit}' || { echo "this clone does not have $(PREVIOUS): git fetch --unshallow" >&2; exit 1; }; \
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git archive '$(PREVIOUS)' | tar -x -C "$$dir" && \
	go run ./integration/previous -source "$$dir" -version "$$(git rev-parse --short '$(PREVIOUS)')"

FORMER ?= HEAD^
.PHONY: fresh
fresh:
	@git cat-file -e '$(FORMER)^{commit}' || { echo "this clone does not have $(FORMER): git fetch --unshallow" >&2; exit 1; }; \
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && mkdir "$$dir/source" && git archive '$(FORMER)' | tar -x -C "$$dir/source" && \
	version=$$(git describe --tags --always '$(FORMER)') && seconds=$$(git log -1 --format=%ct '$(FORMER)') && \
	(cd "$$dir/source" && SOURCE_DATE_EPOCH=$$seconds go run ./configs/package -format deb -arch amd64 -version "$$version" -out "$$dir/former") && \
	go run ./configs/package -format deb -arch amd64 -version '$(VERSION)' -out "$$dir/latest" && \
	go run ./integration/fresh -former "$$dir"/former/*.deb -latest "$$dir"/latest/*.deb $(FRESH)

FLOOD ?= 5s
.PHONY: hmac
hmac:
	@out=$$(mktemp) || exit 1; failed=0; \
	CGO_ENABLED=0 go test $(NATIVE) -tags flood -count 1 -run '^(TestKeyRotation|TestReplayAfterRestart|TestHMACFlood)$$' -timeout 15m -v \
		-hmac-flood $(FLOOD) >$$out 2>&1 || failed=1; \
	sed -n -e 's/^.* hmac: //p' -e '/FAIL/p' $$out; test $$failed = 0 || sed -n '/_test.go/p' $$out; rm -f $$out; exit $$failed

.PHONY: bench probe
bench:
	go run ./integration/bench

probe:
	go run ./integration/bench -run probe

# The tags of what is broken on purpose, for make drills.
BROKEN := broken_handover,broken_announcements,broken_sync

BROWSED := ./cmd/tandem/internal/web ./cmd/tandem/internal/prober/page
.PHONY: browser
browser:
	TANDEM_PICTURES=$(CURDIR)/bin/browser go test -count=1 -tags browser -run Browser -v $(BROWSED)

.PHONY: lint
lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo "these files are not formatted: gofmt -w ." >&2; exit 1; }
	go vet ./...
	go vet -tags ipvs ./lvs/...
	go vet -tags browser $(BROWSED)
	go vet -tags flood $(NATIVE)
	go vet -tags $(BROKEN) ./vrrp ./garp/wire ./lvs/kernel
	go tool staticcheck ./...
	go tool staticcheck -tags ipvs ./lvs/...
	go tool staticcheck -tags browser $(BROWSED)
	go tool staticcheck -tags flood $(NATIVE)
	go tool staticcheck -tags $(BROKEN) ./vrrp ./garp/wire ./lvs/kernel

# Not in lint, because that needs no network. The exit code 3 is for vulnerabilities, which govulncheck has printed.
VULNDB ?= https://vuln.go.dev
.PHONY: vulncheck
vulncheck:
	@go tool -modfile=configs/package/tools.mod govulncheck -db '$(VULNDB)' ./cmd/tandem || { code=$$?; \
	test $$code = 3 || echo "govulncheck failed, and says nothing about the binary. It must reach $(VULNDB), or read a copy: make vulncheck VULNDB=file:///DIRECTORY" >&2; \
	exit $$code; }

.PHONY: clean
clean:
	rm -rf bin
