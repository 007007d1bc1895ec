// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

func routerRun(what configs.HookEvent, style configs.HookStyle) Run {
	return Run{
		ID: 1, Attempt: 2, Hook: &configs.Hook{Name: "notify", Command: []string{"/bin/notify", "x"}, Style: style},
		Event: Event{
			Subject: Subject{Router, "web"}, What: what, Previous: configs.HookFault, At: noon, Reason: "a\x00b", Director: "lb1",
			State: "master", Interface: "eth0", VRID: 51,
			VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("192.0.2.101/32")},
		},
	}
}

func TestVariables(t *testing.T) {
	server := Run{Attempt: 1, Hook: &configs.Hook{Name: "mail"}, Event: Event{
		Subject: Subject{Server, "www/192.0.2.11:80"}, What: configs.HookServerDown, At: noon, Director: "lb1",
		Service: "www", Address: netip.MustParseAddrPort("192.0.2.11:80"),
	}}
	for _, tt := range []struct {
		run  Run
		want string
	}{
		{routerRun(configs.HookMaster, configs.HookPlain), "EVENT=master,KIND=router,NAME=web,PREVIOUS=fault,REASON=a b,TIME=2026-11-20T12:00:00Z," +
			"DIRECTOR=lb1,HOOK=notify,ATTEMPT=2,STATE=master,PRIORITY=0,INTERFACE=eth0,VRID=51,VIPS=192.0.2.100/24 192.0.2.101/32"},
		{server, "EVENT=server_down,KIND=server,NAME=www/192.0.2.11:80,TIME=2026-11-20T12:00:00Z,DIRECTOR=lb1,HOOK=mail,ATTEMPT=1," +
			"SERVICE=www,ADDRESS=192.0.2.11,PORT=80"},
	} {
		if got := strings.Join(tt.run.Environment(), ","); got != "TANDEM_"+strings.ReplaceAll(tt.want, ",", ",TANDEM_") {
			t.Errorf("got %s", got)
		}
	}
	const want = `{"event":"server_down","kind":"server","name":"www/192.0.2.11:80","time":"2026-11-20T12:00:00Z","director":"lb1",` +
		`"hook":"mail","attempt":1,"service":"www","address":"192.0.2.11","port":80}`
	if got := string(server.JSON()); got != want {
		t.Errorf("got %s", got)
	}
}

func TestArguments(t *testing.T) {
	group := routerRun(configs.HookFault, configs.HookKeepalived)
	group.Event.Subject, group.Event.Weighted = Subject{SyncGroup, "pair"}, 100
	fault := routerRun(configs.HookFault, configs.HookKeepalived)
	fault.Event.Priority, fault.Event.Weighted = 1, 130
	stop := routerRun(configs.HookStop, configs.HookKeepalived)
	stop.Event.Weighted = 150
	for _, tt := range []struct {
		run  Run
		want string
	}{
		{routerRun(configs.HookMaster, configs.HookPlain), "/bin/notify x"},
		{routerRun(configs.HookMaster, configs.HookKeepalived), "/bin/notify x INSTANCE web MASTER 0"},
		{routerRun(configs.HookContested, configs.HookKeepalived), "/bin/notify x INSTANCE web MASTER_RX_LOWER_PRI 0"},
		{routerRun(configs.HookContestOver, configs.HookKeepalived), "/bin/notify x INSTANCE web MASTER 0"},
		{fault, "/bin/notify x INSTANCE web FAULT 130"},
		{stop, "/bin/notify x INSTANCE web STOP 150"},
		{group, "/bin/notify x GROUP pair FAULT 0"},
	} {
		if got := strings.Join(tt.run.Command(), " "); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
		if !slices.Equal(tt.run.Hook.Command, []string{"/bin/notify", "x"}) {
			t.Errorf("the hook's command has become %q", tt.run.Hook.Command)
		}
	}
}
