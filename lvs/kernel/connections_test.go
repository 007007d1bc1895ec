// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/lvs/traffic"
)

const connectionsHead = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n"

func connectionsOf(t *testing.T, text string) *Connections {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ip_vs_conn_sync")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Connections{path: path}
}

// The look returns only TCP connections that this director has scheduled, and no templates.
func TestConnections(t *testing.T) {
	c := connectionsOf(t, connectionsHead+
		"TCP C6336407 CE14 C0000264 0051 C000020C 0051 SYN_RECV    LOCAL       59\n"+
		"TCP C6336407 CE15 C0000264 0051 C000020D 0051 ESTABLISHED LOCAL      899\n"+
		"TCP C6336407 CE16 C0000264 0051 C000020D 0051 ESTABLISHED SYNC       899\n"+
		"UDP C6336407 CE17 C0000264 0035 C000020D 0035 UDP         LOCAL      299\n"+
		"TCP C6336407 0000 C0000264 0051 C000020D 0051 NONE        LOCAL      299\n"+
		"TCP 2001:0db8:0000:0000:0000:0000:0000:0007 CE18 2001:0db8:0000:0000:0000:0000:0000:0100 0050 C000020D 0050 CLOSE       LOCAL        9\n"+
		"TCP short\n")
	look, whole, _, err := c.Look()
	if err != nil || !whole {
		t.Fatalf("whole %t, %v", whole, err)
	}
	end := netip.MustParseAddrPort
	want := []traffic.Connection{
		{Client: end("198.51.100.7:52756"), Virtual: end("192.0.2.100:81"), Server: end("192.0.2.12:81"), State: traffic.Waiting},
		{Client: end("198.51.100.7:52757"), Virtual: end("192.0.2.100:81"), Server: end("192.0.2.13:81"), State: traffic.Answered},
		{Client: end("[2001:db8::7]:52760"), Virtual: end("[2001:db8::100]:80"), Server: end("192.0.2.13:80"), State: traffic.Closed},
	}
	if fmt.Sprint(look) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", look, want)
	}
	c.path += "-missing"
	if _, _, _, err := c.Look(); !errors.Is(err, ErrAbsent) {
		t.Errorf("got %v, want %v", err, ErrAbsent)
	}
}

// A look at a large table reads only its beginning.
func TestConnectionsAreBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString(connectionsHead)
	for i := range 3 * maxConnections {
		fmt.Fprintf(&text, "TCP %08X %04X C0000264 0051 C000020C 0051 SYN_RECV    LOCAL       59\n", 0x0a000000+i, i)
	}
	look, whole, cost, err := connectionsOf(t, text.String()).Look()
	if most := maxConnections + readSize/60; err != nil || whole || len(look) < minConnections || len(look) > most {
		t.Errorf("%d connections, whole %t, %v; want %d to %d", len(look), whole, err, minConnections, most)
	}
	t.Logf("%d connections in %s", len(look), cost)
}

func FuzzConnection(f *testing.F) {
	f.Add("TCP C6336407 CE14 C0000264 0051 C000020C 0051 SYN_RECV    LOCAL       59")
	f.Add("TCP C6336407 0A1F C0000264 0051 C00FF20C FFFF CLOSE_WAIT  LOCAL       59")
	f.Fuzz(func(t *testing.T, line string) {
		if c, ok := parseConnection(line); ok && (!c.Client.IsValid() || !c.Virtual.IsValid() || !c.Server.IsValid() || c.State == 0) {
			t.Errorf("%q: %+v", line, c)
		}
		// A leading space makes the columns others than the fixed ones.
		if quick, ok, fixed := parseFixed(line); fixed && ok {
			if slow, ok := parseConnection(" " + line); !ok || slow != quick {
				t.Errorf("%q: by its columns %+v, by its words %+v", line, quick, slow)
			}
		}
	})
}
