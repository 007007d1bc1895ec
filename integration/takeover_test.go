// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// takesOver: a reload adds a service that ipvsadm has set up, while clients use it. The servers keep their weights, without a write
// to the kernel, until their first check has a result. No client notices.
func takesOver(t *testing.T, p *lab.Pair, tap *lab.Tap) {
	const port, checked = "8081", 8082
	at := vip + ":" + port
	healthy := make(chan struct{})
	for _, w := range p.Webs {
		w.Start("busybox", "httpd", "-f", "-p", port, "-h", filepath.Join(w.Dir(), "www"))
		silent(t, w, checked, healthy)
	}
	table := func(weights ...int) string {
		text := "TCP " + at + " wrr\n"
		for i, weight := range weights {
			text += fmt.Sprintf("  -> 192.0.2.1%d:%s Route %d\n", 1+i, port, weight)
		}
		return text
	}
	has := func(want string) func() error {
		return func() error {
			if got := p.A.Table(); !strings.Contains(got, want) {
				return fmt.Errorf("%s, want in it\n%s", got, want)
			}
			return nil
		}
	}
	p.A.Run("ipvsadm", "-A", "-t", at, "-s", "wrr")
	p.A.Run("ipvsadm", "-a", "-t", at, "-r", "192.0.2.11", "-g", "-w", "3")
	p.A.Run("ipvsadm", "-a", "-t", at, "-r", "192.0.2.12", "-g", "-w", "5")
	load := p.Client.Load("http://"+at+"/", 50*time.Millisecond)
	awaitServed(p.Lab, load, time.Now())

	before := len(tap.Writes())
	p.A.Configure(weighted(3) + fmt.Sprintf("\n[[service]]\nname = \"shop\"\nvirtual = %q\nscheduler = \"wrr\"\nmethod = \"dr\"\n"+
		"check = { type = \"http\", port = %d, path = \"/\", interval = \"1s\", timeout = \"20s\" }\n"+
		"server = [{ address = \"192.0.2.11\" }, { address = \"192.0.2.12\" }]\n", at, checked))
	reload(t, p)
	p.Throughout(2*time.Second, "the servers keep their weights while their check has no result", has(table(3, 5)))
	wantWrites(p, tap, before)
	close(healthy)
	p.Eventually(10*time.Second, "the servers have the weights of the file", has(table(1, 1)))
	wantWrites(p, tap, before, "IPVS command 6", "IPVS command 6") // set server
	wantServed(t, p, load.Stop())

	p.A.Configure(weighted(3))
	reload(t, p)
	p.Eventually(5*time.Second, "the service is gone", func() error {
		if got := p.A.Table(); strings.Contains(got, at) {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
}

// silent has a host accept connections to a port, and answer them only when healthy is closed.
func silent(t *testing.T, h *lab.Host, port int, healthy <-chan struct{}) {
	t.Helper()
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-healthy:
			_ = server.Serve(l) // it ends with the listener
		case <-t.Context().Done():
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = l.Close() // which the server may have closed
		<-ended
	})
}
