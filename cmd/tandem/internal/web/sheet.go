// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/web/page"
)

// A sheet is a rendering, and the answers that were made of it. Each answer is made once, when the first reader asks for it.
type sheet struct {
	*page.Edition
	instance string
	tag      string // its ETag
	document func() []byte

	mu      sync.Mutex
	answers map[uint64]func() []byte // the news after an edition
}

// maxAnswers is for how many earlier editions there are answers. Readers of others get all of the page.
const maxAnswers = 4

func newSheet(instance string, e *page.Edition) *sheet {
	return &sheet{
		Edition: e, instance: instance, tag: fmt.Sprintf(`"%s-%d"`, instance, e.Number),
		document: sync.OnceValue(func() []byte { return e.Document(instance) }),
		answers:  make(map[uint64]func() []byte),
	}
}

// news returns what is new after an edition, as JSON.
func (s *sheet) news(after uint64) []byte {
	s.mu.Lock()
	if s.answers[after] == nil && len(s.answers) >= maxAnswers {
		after = 0
	}
	answer := s.answers[after]
	if answer == nil {
		answer = sync.OnceValue(func() []byte { return s.encode(after) })
		s.answers[after] = answer
	}
	s.mu.Unlock()
	return answer()
}

func (s *sheet) encode(after uint64) []byte {
	news := s.After(after)
	news.Instance = s.instance
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false) // the answer is never read as HTML: its type is JSON, and browsers must not guess another
	if err := out.Encode(news); err != nil {
		panic(err) // texts and numbers only
	}
	return b.Bytes()
}
