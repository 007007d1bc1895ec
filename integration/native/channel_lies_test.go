// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// errCut ends the connections of a relay.
var errCut = errors.New("the relay ends the connection")

// noise returns octets that mean nothing, the same ones each time.
func noise(n int) []byte {
	octets := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range octets {
		octets[i] = byte(r.Uint32())
	}
	return octets
}

func write(s said, octets ...[]byte) error {
	_, err := s.to.Write(slices.Concat(octets...))
	return err
}

// delaying passes everything on later.
func delaying(by time.Duration) meddler {
	return func(ctx context.Context, s said) error {
		pause(ctx, by)
		return write(s, s.octets)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// trickling passes everything on in pieces, with a pause after each of them.
func trickling(piece int, every time.Duration) meddler {
	return func(ctx context.Context, s said) error {
		for octets := range slices.Chunk(s.octets, piece) {
			if err := write(s, octets); err != nil {
				return err
			}
			pause(ctx, every)
		}
		return nil
	}
}

// holding passes nothing on until the disturbance is over. The connections stay open.
func holding(ctx context.Context, s said) error {
	<-ctx.Done()
	return write(s, s.octets)
}

// flipping changes one bit of each piece. If the relay reads messages, it keeps their length, and how directors introduce
// themselves: a director would believe the other name as long as the connection lasts.
func flipping(messages bool) meddler {
	random := rand.New(rand.NewPCG(3, 4))
	var mu sync.Mutex
	return func(_ context.Context, s said) error {
		if messages && s.first() {
			return write(s, s.octets)
		}
		octets, from := bytes.Clone(s.octets), 0
		if messages {
			from = 4
		}
		mu.Lock()
		at, bit := from+random.IntN(len(octets)-from), random.IntN(8)
		mu.Unlock()
		octets[at] ^= 1 << bit
		return write(s, octets)
	}
}

// twice passes each piece on twice.
func twice(_ context.Context, s said) error { return write(s, s.octets, s.octets) }

// halving passes half of a piece on, and ends the connections.
func halving(_ context.Context, s said) error {
	return errors.Join(write(s, s.octets[:len(s.octets)/2]), errCut)
}

// replaying says everything again that was said before by either director, to both of them: each hears what the other one said long
// ago, and what it said itself. Only questions and answers are not said again: a question that comes five times at once is refused,
// as it should be.
func replaying() meddler {
	const most = 50
	var mu sync.Mutex
	var old [][]byte
	return func(_ context.Context, s said) error {
		if s.first() || !s.asker || strings.HasPrefix(string(s.octets[4:]), `{"kind":"a`) && !strings.HasPrefix(string(s.octets[4:]), `{"kind":"alive"`) {
			return write(s, s.octets)
		}
		mu.Lock()
		again := slices.Concat(old...)
		if old = append(old, s.octets); len(old) > most {
			old = old[1:]
		}
		mu.Unlock()
		return write(s, s.octets, again)
	}
}

// adding adds something to each message of a director that tells something.
func adding(more ...[]byte) meddler {
	all := slices.Concat(more...)
	return func(_ context.Context, s said) error {
		if s.first() || !s.asker {
			return write(s, s.octets)
		}
		return write(s, s.octets, all)
	}
}

// talkingBack lets the director speak that only has to listen.
func talkingBack(_ context.Context, s said) error {
	if s.asker {
		return write(s, s.octets)
	}
	return write(s, s.octets, frame([]byte(`{"kind":"alive"}`)))
}

// largest is the largest message that a director accepts: it has 20,000 real servers that no director has.
func largest() []byte {
	var b strings.Builder
	b.WriteString(`{"kind":"view","view":{"servers":[`)
	for i := range 20_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"%d%s","health":"unhealthy","reason":"%s"}`, i, strings.Repeat("n", 170), strings.Repeat("r", 170))
	}
	b.WriteString(`]}}`)
	return frame([]byte(b.String()))
}

// tooLong begins a message of 2 GiB.
func tooLong() []byte { return append(binary.BigEndian.AppendUint32(nil, 1<<31), noise(64<<10)...) }

// otherRoles says that the other director is master, with the highest priority.
func otherRoles() []byte {
	return frame([]byte(`{"kind":"view","view":{"routers":[{"name":"web","family":4,"state":"master","priority":255,"waits":{"have":0,"of":1000000}}]}}`))
}

// A questioner asks each director in the name of the other one for what must be refused, and keeps the answers from the other one.
type questioner struct {
	asked, answered atomic.Int64
	mu              sync.Mutex
	answers         map[string]bool // the problems
}

// meddle asks everything after each message.
func (q *questioner) meddle(_ context.Context, s said) error {
	if s.first() || !s.asker {
		return write(s, s.octets)
	}
	if text := string(s.octets[4:]); strings.HasPrefix(text, `{"kind":"answer"`) && strings.Contains(text, `"id":"lie`) {
		q.answered.Add(1)
		q.mu.Lock()
		defer q.mu.Unlock()
		if _, problem, found := strings.Cut(text, `"problems":["`); found {
			problem, _, _ = strings.Cut(problem, `"]`)
			q.answers[problem] = true
		} else {
			q.answers["none: "+text] = true
		}
		return nil
	}
	var all [][]byte
	for to, body := range map[string]string{
		"plan": `{"file": "/tmp/lie.toml", "text": "name = \"liar\"\n"}`, "apply": `{"plan": "lie", "confirm_seconds": 60}`, "confirm": `{"revision": 1}`,
		"rollback": `{"revision": -1}`, "reboot": `{}`,
	} {
		id := fmt.Sprintf("lie%d", q.asked.Add(1))
		all = append(all, frame(fmt.Appendf(nil, `{"kind":"ask","part":{"id":%q,"to":%q,"by":"root","body":%q}}`,
			id, to, base64.StdEncoding.EncodeToString([]byte(body)))))
	}
	return write(s, s.octets, slices.Concat(all...))
}

// refused returns an error unless all answers are refusals, and these are among them.
func (q *questioner) refused(want ...string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for answer := range q.answers {
		if strings.HasPrefix(answer, "none: ") {
			return fmt.Errorf("a director answered %s", answer)
		}
	}
	for _, w := range want {
		found := false
		for answer := range q.answers {
			found = found || strings.Contains(answer, w)
		}
		if !found {
			return fmt.Errorf("the answers lack %q: %v", w, q.answers)
		}
	}
	return nil
}
