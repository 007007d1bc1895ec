// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// asking returns two connected sides, of which lb2 answers.
func asking(t *testing.T, answer func(context.Context, Question) ([]byte, error)) (a, b *side) {
	t.Helper()
	x, y := addresses(t)
	a, b = newSide(t, "lb1", x, y), newSide(t, "lb2", y, x)
	b.Answer = answer
	a.start()
	b.start()
	a.awaitUp()
	b.awaitUp()
	return a, b
}

// TestAsk: questions and answers of many parts arrive whole, several at a time, with who asks; a refusal comes with its sentences.
func TestAsk(t *testing.T) {
	a, b := asking(t, func(_ context.Context, q Question) ([]byte, error) {
		if q.To == message.AskApply {
			return nil, errors.Join(errors.New("one"), errors.New("two"))
		}
		return fmt.Appendf(nil, "%s by %s on %s: %s", q.To, q.By, q.From, q.Body), nil
	})
	var all sync.WaitGroup
	for n := range maxAsks {
		all.Go(func() {
			body := bytes.Repeat([]byte{'0' + byte(n)}, n*message.MaxPart+n)
			want := "plan by alice on lb1: " + string(body)
			if is, err := a.Ask(t.Context(), message.AskPlan, "alice", body); err != nil || string(is) != want {
				t.Errorf("%d bytes: %v, %.100s", len(body), err, is)
			}
		})
	}
	all.Wait()
	var no *Refused
	if _, err := a.Ask(t.Context(), message.AskApply, "", nil); !errors.As(err, &no) || strings.Join(no.Problems, "/") != "one/two" {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := a.Ask(t.Context(), "dance", "", nil); !errors.Is(err, ErrOlder) {
		t.Errorf("an unknown question: %v", err)
	}
	if _, err := b.Ask(t.Context(), message.AskStatus, "", nil); !errors.Is(err, ErrOlder) || !strings.Contains(err.Error(), `tandem v1, which does not know the question "status"`) {
		t.Errorf("an older director: %v", err)
	}
	if _, err := a.Ask(t.Context(), message.AskPlan, "", make([]byte, message.MaxBody+1)); !errors.Is(err, ErrNotSent) {
		t.Errorf("too long: %v", err)
	}
}

// TestManyMistakes: a configuration with very many mistakes is refused, and the channel stays.
func TestManyMistakes(t *testing.T) {
	a, _ := asking(t, func(context.Context, Question) ([]byte, error) {
		return nil, errors.Join(slices.Repeat([]error{errors.New(strings.Repeat("x", 1000))}, 10_000)...)
	})
	var no *Refused
	if _, err := a.Ask(t.Context(), message.AskPlan, "", nil); !errors.As(err, &no) || len(no.Problems) != 100 || no.Problems[99] != "and 9901 more" {
		t.Errorf("%.300v", err)
	}
	if _, err := a.Ask(t.Context(), message.AskPlan, "", nil); !errors.As(err, &no) {
		t.Errorf("again: %.300v", err)
	}
}

// TestTooManyQuestions: more than a few at a time are refused at once.
func TestTooManyQuestions(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{}, maxAsks)
	a, _ := asking(t, func(context.Context, Question) ([]byte, error) {
		began <- struct{}{}
		<-release
		return nil, nil
	})
	results := make(chan error, maxAsks)
	for range maxAsks {
		go func() {
			_, err := a.Ask(t.Context(), message.AskStatus, "", nil)
			results <- err
		}()
		<-began
	}
	var no *Refused
	if _, err := a.Ask(t.Context(), message.AskStatus, "", nil); !errors.As(err, &no) || !strings.Contains(err.Error(), "it answers 4 questions at a time") {
		t.Errorf("one more: %v", err)
	}
	close(release)
	for range maxAsks {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestLostQuestions: who asks learns whether the other director may have done it; what was not sent is never sent later.
func TestLostQuestions(t *testing.T) {
	var asked atomic.Int32
	began := make(chan struct{}, 10)
	hang := func(ctx context.Context, _ Question) ([]byte, error) {
		asked.Add(1)
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	x, y := addresses(t)
	a, b := newSide(t, "lb1", x, y), newSide(t, "lb2", y, x)
	if _, err := a.Ask(t.Context(), message.AskApply, "", nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("before the channel: %v", err)
	}
	b.Answer = hang
	a.start()
	b.start()
	a.awaitUp()
	b.awaitUp()
	limited, cancel := context.WithTimeout(t.Context(), time.Hour)
	go func() { <-began; cancel() }()
	if _, err := a.Ask(limited, message.AskApply, "", nil); !errors.Is(err, ErrUnanswered) || !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	go func() { <-began; b.stop() }()
	if _, err := a.Ask(t.Context(), message.AskApply, "", nil); !errors.Is(err, ErrUnanswered) {
		t.Errorf("cut in the middle: %v", err)
	}
	a.await("cut off", func(s *side) bool { return !s.channel.To.Up && !s.channel.From.Up })
	if _, err := a.Ask(t.Context(), message.AskApply, "", nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("the channel is lost: %v", err)
	}
	again := newSide(t, "lb2", y, x)
	again.Answer = func(context.Context, Question) ([]byte, error) { asked.Add(1); return []byte("yes"), nil }
	again.start()
	a.awaitUp()
	if is, err := a.Ask(t.Context(), message.AskApply, "", nil); err != nil || string(is) != "yes" || asked.Load() != 3 {
		t.Errorf("%v, %s, asked %d times", err, is, asked.Load())
	}
}

// TestQueueOfAsks: an interrupted question leaves nothing in the queue; parts in the wrong order and too many bytes are refused.
func TestQueueOfAsks(t *testing.T) {
	var a asks
	a.init()
	w := func() *waitingAsk { return &waitingAsk{result: make(chan error, 1)} }
	if err := a.put("closed", w(), message.KindAsk, message.Part{}, nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("no connection: %v", err)
	}
	a.begin()
	long := w()
	if err := a.put("long", long, message.KindAsk, message.Part{}, make([]byte, 2*message.MaxPart)); err != nil {
		t.Fatal(err)
	}
	if m, ok := a.next(); !ok || !m.Part.More || len(m.Part.Body) != message.MaxPart {
		t.Errorf("%v, %+v", ok, m)
	}
	if err := a.drop("long", long, context.Canceled); !errors.Is(err, ErrNotSent) || len(a.queue) > 0 {
		t.Errorf("half of it was sent: %v, %d", err, len(a.queue))
	}
	short := w()
	_ = a.put("short", short, message.KindAsk, message.Part{}, nil)
	_, _ = a.next()
	a.end(errReplaced)
	if err := <-short.result; !errors.Is(err, ErrUnanswered) || !errors.Is(err, errReplaced) {
		t.Errorf("it was sent: %v", err)
	}
	a.begin()
	gap := w()
	_ = a.put("gap", gap, message.KindAsk, message.Part{}, nil)
	a.hear(&message.Part{ID: "gap", More: true})
	a.hear(&message.Part{ID: "gap", Part: 2})
	if err := <-gap.result; !errors.Is(err, ErrUnanswered) {
		t.Errorf("a part is missing: %v", err)
	}
	if _, problem := a.collect(&message.Part{ID: "q", More: true}); problem != "" {
		t.Error(problem)
	}
	if q, problem := a.collect(&message.Part{ID: "q", Part: 2}); q != nil || problem == "" {
		t.Errorf("a part of a question is missing: %+v, %q", q, problem)
	}
	if q, problem := a.collect(&message.Part{ID: "q", Part: 3}); q != nil || problem != "" {
		t.Errorf("the rest of it: %+v, %q", q, problem)
	}
}

// TestHalfOfAQuestion: questions whose rest does not come, because nobody waits for their answers any more, do not keep others out.
func TestHalfOfAQuestion(t *testing.T) {
	var a asks
	a.init()
	half := func(id string) (problem string) {
		_, problem = a.collect(&message.Part{ID: id, More: true})
		return problem
	}
	for i := range maxAsks {
		if problem := half(fmt.Sprint(i)); problem != "" {
			t.Fatal(problem)
		}
	}
	if half("one more") == "" {
		t.Error("there is no limit")
	}
	a.heard["1"].at = time.Now().Add(-restTime)
	if q, problem := a.collect(&message.Part{ID: "later"}); q == nil || problem != "" {
		t.Errorf("%+v, %q", q, problem)
	}
	if q, problem := a.collect(&message.Part{ID: "1", Part: 1}); q != nil || problem != "" {
		t.Errorf("the rest of one that was forgotten: %+v, %q", q, problem)
	}
}
