// SPDX-License-Identifier: Apache-2.0

package message

import (
	"fmt"
	"slices"
	"strings"
)

// An Ability is a question that a director answers, or a command that it carries out for the other one.
type Ability string

// The abilities.
const (
	AskStatus   Ability = "status"
	AskHistory  Ability = "history"
	AskPlan     Ability = "plan"
	AskApply    Ability = "apply"
	AskConfirm  Ability = "confirm"
	AskRollback Ability = "rollback"
)

// Abilities are those of this version.
func Abilities() []Ability {
	return []Ability{AskStatus, AskHistory, AskPlan, AskApply, AskConfirm, AskRollback}
}

// A Part is a part of a question or of an answer. All parts of one have the same ID.
type Part struct {
	ID   string  `json:"id"`             // random
	To   Ability `json:"to,omitempty"`   // of a question: what is asked
	By   string  `json:"by,omitempty"`   // of a question: the user who asks
	Part int     `json:"n,omitempty"`    // 0 is the first
	More bool    `json:"more,omitempty"` // this is not the last part
	Body []byte  `json:"body,omitempty"`
	// Problems are why the answer has no body, a sentence each.
	Problems []string `json:"problems,omitempty"`
}

// The limits of a question or an answer.
const (
	// MaxPart is the number of bytes of one part: a sign of life fits between two parts on a slow line.
	MaxPart = 64 << 10
	MaxBody = 32 << 20 // bytes of all parts
	maxAble = 100      // abilities
	maxID   = 64       // bytes
	// maxProblems sentences of maxProblem bytes say why a question is not answered: a configuration can have many mistakes.
	maxProblems, maxProblem = 100, 2000
)

// check refuses a part that breaks a limit, and cuts what is too long.
func (p *Part) check() error {
	switch {
	case p.ID == "" || len(p.ID) > maxID:
		return violation("a part of a question or an answer with an ID of %d bytes: want 1 to %d", len(p.ID), maxID)
	case len(p.Body) > MaxPart || p.Part < 0 || p.Part > MaxBody/MaxPart:
		return violation("part %d of a question or an answer, with %d bytes: want at most %d, and %d bytes in all", p.Part, len(p.Body), MaxPart, MaxBody)
	}
	p.Problems = Problems(p.Problems)
	cut(&p.By)
	return nil
}

// Problems returns the sentences as they may be sent and shown. If they are too many, the last one says how many are left out.
func Problems(all []string) []string {
	left := len(all) - maxProblems
	if all = slices.Clone(all[:min(len(all), maxProblems)]); left > 0 {
		all[maxProblems-1] = fmt.Sprintf("and %d more", left+1)
	}
	for i, text := range all {
		if len(text) > maxProblem {
			text = strings.ToValidUTF8(text[:maxProblem], "") + "…"
		}
		all[i] = Clean(text)
	}
	return all
}
