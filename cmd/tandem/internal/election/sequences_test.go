// SPDX-License-Identifier: Apache-2.0

package election

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

const geheimnis = "Geheimnis-Geheimnis-Geheimnis-Geheimnis"

// signedOrder is an order for one router whose advertisements are signed.
func signedOrder(how vrrp.AntiReplay) message.Order {
	r := routers("192.0.2.100/24")[0]
	r.HMAC = vrrp.HMAC{Mode: vrrp.HMACEnforce, AntiReplay: how, ActiveKey: 1, Keys: []vrrp.Key{{ID: 1}}}
	if how == vrrp.AntiReplayTime {
		r.HMAC.Window = vrrp.MaxTimeWindow
	}
	r.Secrets = [][]byte{[]byte(geheimnis)}
	return message.Order{Routers: []message.Router{r}}
}

// signedFrame is a frame of another router of the same configuration.
func signedFrame(o message.Order, wall time.Time) []byte {
	r := o.Routers[0]
	r.TakeSecrets()
	sender := vrrp.NewRouter(r.Config)
	sender.Packet.Priority = 1
	sender.Sign(wall)
	src := netip.MustParseAddr("192.0.2.3")
	msg := sender.Packet.AppendTo(nil, src, vrrp.Group4)
	b := []byte{0x01, 0x00, 0x5e, 0, 0, 18, 2, 0, 0, 0, 0, 3, 8, 0}
	b = append(b, 0x45, 0, 0, byte(20+len(msg)), 0, 0, 0, 0, vrrp.TTL, vrrp.Protocol, 0, 0, 192, 0, 2, 3, 224, 0, 0, 18)
	sum := vrrp.InternetChecksum(b[14:])
	b[24], b[25] = byte(sum>>8), byte(sum)
	return append(b, msg...)
}

// sendFrame sends a frame from the far end of the cable.
func sendFrame(t *testing.T, frame []byte) { t.Helper(); sendFrameOn(t, "far0", frame) }

func sendFrameOn(t *testing.T, name string, frame []byte) {
	t.Helper()
	far, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: far.Attrs().Index}); err != nil {
		t.Fatal(err)
	}
}

// counts waits until the router has received and refused as many advertisements as named.
func (r *rig) counts(received, replayed uint64) {
	r.t.Helper()
	var c vrrp.Counters
	if !eventually(func() bool {
		c = r.asked(vrrp.Master).Routers[0].Counters
		return c.AdvertsReceived == received && c.Drops[vrrp.DropReplayed] == replayed
	}) {
		r.t.Fatalf("%d received, %+v; want %d, and %d replayed", c.AdvertsReceived, c.Drops, received, replayed)
	}
}

// TestReplayAfterARestart: an advertisement that an election has accepted is refused by the next one. No file has the key.
func TestReplayAfterARestart(t *testing.T) {
	for how := vrrp.AntiReplayTime; how <= vrrp.AntiReplayMonotonic; how++ {
		t.Run(how.String(), func(t *testing.T) {
			cable(t)
			dir, o, now := t.TempDir(), signedOrder(how), time.Now()
			first := newRigIn(t, dir)
			first.order(o)
			first.holds("192.0.2.100/24")
			sendFrame(t, signedFrame(o, now))
			first.counts(1, 0)
			sendFrame(t, signedFrame(o, now))
			first.counts(1, 1)
			first.order(message.Order{Leave: true})
			first.ended()

			second := newRigIn(t, dir)
			second.order(o)
			second.holds("192.0.2.100/24")
			sendFrame(t, signedFrame(o, now))
			second.counts(0, 1)
			sendFrame(t, signedFrame(o, now.Add(time.Second)))
			second.counts(1, 1)
			second.order(message.Order{Leave: true})
			second.ended()
			withoutSecret(t, dir)
		})
	}
}

// withoutSecret checks that no file shows the key.
func withoutSecret(t *testing.T, dir string) {
	t.Helper()
	names := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		names++
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("Geheimnis")) || bytes.Contains(text, []byte("R2VoZWlt")) { // in base64
			t.Errorf("%s has the key", path)
		}
		return err
	})
	if err != nil || names < 2 {
		t.Errorf("%d files, %v", names, err)
	}
}

// TestSecretsTravelInOrdersOnly: an order brings the keys; what is handed off has none.
func TestSecretsTravelInOrdersOnly(t *testing.T) {
	text, err := json.Marshal(signedOrder(vrrp.AntiReplayTime))
	if err != nil {
		t.Fatal(err)
	}
	var o message.Order
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	r := &o.Routers[0]
	r.TakeSecrets()
	if r.Problem() != "" || string(r.HMAC.Keys[0].Secret.Octets()) != geheimnis {
		t.Errorf("%q, %+v", r.Problem(), r.HMAC)
	}
	if text, err = json.Marshal(handoffState{Masters: o.Routers}); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestSequencesWhoseDiskHangs: what is read late counts as well.
func TestSequencesWhoseDiskHangs(t *testing.T) {
	cable(t)
	dir, o, now := t.TempDir(), signedOrder(vrrp.AntiReplayMonotonic), time.Now()
	write := hangs(t, filepath.Join(dir, "vrrp-sequences.json"))
	r := newRigIn(t, dir)
	r.order(o)
	r.holds("192.0.2.100/24")
	rows := []sequenceRow{{Interface: "eth0"}}
	rows[0].VRID, rows[0].Family = 51, 4
	rows[0].Heard = []vrrp.Sequence{{Sender: netip.MustParseAddr("192.0.2.3"), Sequence: uint64(now.Unix()) << 32}}
	text, err := json.Marshal(map[string]any{"version": 1, "value": rows})
	if err != nil {
		t.Fatal(err)
	}
	write(text)
	old := now.Add(-time.Minute)
	if !eventually(func() bool { // each is newer than the one before, and older than what the file has
		old = old.Add(time.Millisecond)
		sendFrame(t, signedFrame(o, old))
		return r.asked(vrrp.Master).Routers[0].Counters.Drops[vrrp.DropReplayed] > 0
	}) {
		t.Error("old advertisements are accepted")
	}
	r.order(message.Order{Leave: true})
	r.ended()
}

// TestAwaitEnd: several loops that hang take no more time than one.
func TestAwaitEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		close(over)
		began := time.Now()
		awaitEnd(map[string]*unit{"a": {ended: make(chan struct{})}, "b": {ended: over}, "c": {ended: make(chan struct{})}}, time.Second)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
