// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// peerPatience is how long the other director may take for an answer: applying a configuration can take as long.
const peerPatience = 3 * time.Minute

var errPeerPatience = fmt.Errorf("no answer within %s", peerPatience)

// inWords are the questions: a director that cannot answer is older, and cannot …
var inWords = map[message.Ability]string{
	message.AskStatus: "tell its status", message.AskHistory: "tell its history", message.AskPlan: "plan for the other director",
	message.AskApply: "apply a configuration for the other director", message.AskConfirm: "confirm a configuration for the other director",
	message.AskRollback: "roll back for the other director",
}

// AskPeer asks the other director, and returns its answer: JSON whose strings are safe for a terminal.
func (d *Director) AskPeer(ctx context.Context, by string, to message.Ability, question any) ([]byte, error) {
	text, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, peerPatience, errPeerPatience)
	defer cancel()
	answer, err := d.peer.Ask(ctx, to, by, text)
	if err == nil {
		answer, err = message.CleanJSON(answer)
	}
	if err == nil {
		return answer, nil
	}
	name, version := "the other director", ""
	if shot := d.snapshot(); shot != nil && shot.Peer != nil {
		name, version = peerName(shot), shot.Peer.Channel.Version
	}
	return nil, explainPeer(err, name, version, to)
}

// peerName is the name of the other director, or its address.
func peerName(shot *core.Snapshot) string {
	if n := shot.Peer.Channel.Name; n != "" {
		return n
	}
	return shot.Config.Peer.Address.Addr().String()
}

// explainPeer says why the other director did not do what it was asked for, and whether it may have.
func explainPeer(err error, name, version string, to message.Ability) error {
	why := func(is error) string { return strings.TrimPrefix(strings.TrimPrefix(err.Error(), is.Error()), ": ") }
	var refused *peer.Refused
	switch {
	case errors.As(err, &refused):
		var all []error
		for _, p := range refused.Problems {
			all = append(all, fmt.Errorf("%s: %s", name, p))
		}
		return errors.Join(all...)
	case errors.Is(err, peer.ErrOlder):
		return fmt.Errorf("%s is older (tandem %s) and cannot %s: update it", name, version, inWords[to])
	case errors.Is(err, peer.ErrUnanswered):
		return fmt.Errorf("%s did not answer: %s%w", name, why(peer.ErrUnanswered), quiet{control.ErrUnanswered})
	case errors.Is(err, peer.ErrNotSent):
		return fmt.Errorf("%s was not asked: %s", name, why(peer.ErrNotSent))
	}
	return fmt.Errorf("%s: %w", name, err)
}

// quiet is an error that says nothing, but is another one.
type quiet struct{ is error }

func (quiet) Error() string   { return "" }
func (q quiet) Unwrap() error { return q.is }

// answerPeer answers a question of the other director. A member that this version does not know is refused: it may be important.
func (d *Director) answerPeer(_ context.Context, q peer.Question) ([]byte, error) {
	by := message.Text(fmt.Sprintf("%s on %s", q.By, q.From))
	var value any
	var err error
	switch q.To {
	case message.AskStatus:
		value = d.Status()
	case message.AskHistory:
		var query control.HistoryQuery
		if err = d.decode(q, &query); err == nil {
			value, err = d.History(query)
		}
	case message.AskPlan:
		var r control.PlanRequest
		if err = d.decode(q, &r); err == nil {
			value, err = d.planForPeer(by, r)
		}
	case message.AskApply:
		var r control.ApplyRequest
		if err = d.decode(q, &r); err == nil && r.ConfirmSeconds <= 0 {
			err = errors.New("without a time for the confirmation, a configuration is not applied for the other director: the channel may be lost")
		}
		if err == nil {
			value, err = d.applyPlan(by, r, true)
		}
	case message.AskConfirm:
		value, err = d.endWait(q, func(*core.Snapshot) (control.Applied, error) { return d.Confirm(by) })
	case message.AskRollback:
		value, err = d.endWait(q, func(shot *core.Snapshot) (control.Applied, error) { return d.rollBackWaiting(by, shot, 0) })
	default:
		err = fmt.Errorf("tandem %s does not know the question %q", d.version, q.To)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// decode reads the body of a question.
func (d *Director) decode(q peer.Question, v any) error {
	in := json.NewDecoder(bytes.NewReader(q.Body))
	in.DisallowUnknownFields()
	err := in.Decode(v)
	if err == nil && in.More() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("this is tandem %s, which does not understand all of the question %q (%w): update it", d.version, q.To, err)
	}
	return nil
}

// planForPeer makes a plan. Without a configuration in the question, it is about this director's own file, or about a configuration that was
// in force here. A configuration in the question is not even read unless peer.accept_config is true: who may send one can run any program
// as root by it, name any file of this machine as a secret, and change [peer] and [control]. There is no part of a configuration that
// would be safe to take from somebody who may not do that.
func (d *Director) planForPeer(by string, r control.PlanRequest) (p control.Plan, err error) {
	shot := d.snapshot()
	if shot == nil || shot.Config == nil {
		return p, errEnded
	}
	if r.File+r.Text == "" && len(r.Matches)+len(r.Included) == 0 && r.Name == "" {
		return d.planFor(r, true)
	}
	told := core.PeerConfig{By: by, File: r.File}
	if !shot.Config.Peer.AcceptConfig {
		told.Refused = "peer.accept_config is false"
		err = fmt.Errorf("it takes no configuration from the other director: set peer.accept_config = true in %s, "+
			"or copy the file there and leave FILE out", d.file)
	} else if p, err = d.planFor(r, true); err != nil {
		told.Refused = err.Error()
	}
	told.SHA256 = p.SHA256
	d.post(told)
	return p, err
}

// endWait ends the wait of a revision for its confirmation, if it is the one that is meant.
func (d *Director) endWait(q peer.Question, how func(*core.Snapshot) (control.Applied, error)) (control.Applied, error) {
	var r control.WaitingRevision
	if err := d.decode(q, &r); err != nil {
		return control.Applied{}, err
	}
	defer d.lockReload()()
	shot := d.snapshot()
	if shot == nil {
		return control.Applied{}, errEnded
	}
	is := shot.Revisions.Current()
	switch {
	case is.Number != r.Revision:
		return control.Applied{}, fmt.Errorf("revision %d is in force, not revision %d", is.Number, r.Revision)
	case shot.Revisions.Waiting == nil:
		return control.Applied{}, fmt.Errorf("revision %d does not wait for confirmation", r.Revision)
	}
	return how(shot)
}
