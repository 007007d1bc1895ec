// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// askPeer returns the handler of a question to the other director: the body, if there is one, is the question.
func askPeer[Q, A any](to message.Ability) func(Director, *request) {
	return func(d Director, q *request) {
		var question Q
		if q.r.Method == http.MethodGet || q.decode(&question, maxRequest) {
			passOn[A](d, q, to, question)
		}
	}
}

func handlePeerPlan(d Director, q *request) {
	if r, ok := q.planRequest(); ok {
		passOn[Plan](d, q, message.AskPlan, r)
	}
}

func handlePeerHistory(d Director, q *request) {
	if query, ok := q.query(); ok {
		passOn[[]Event](d, q, message.AskHistory, query)
	}
}

// passOn asks the other director, and answers with its answer. Members that this version does not know are left out.
func passOn[A any](d Director, q *request, to message.Ability, question any) {
	var value A
	text, err := d.AskPeer(q.r.Context(), q.caller.name(), to, question)
	if err == nil {
		if err = json.Unmarshal(text, &value); err != nil {
			err = fmt.Errorf("the other director answered what this version does not understand: %w", err)
		}
	}
	answerResult(q.w, value, err)
}
