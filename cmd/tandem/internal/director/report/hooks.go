// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/url"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
)

var (
	hookRunsDesc        = desc("hook_runs_total", "Runs of a hook that ended, by their result.", "hook", "result")
	hookSupersededDesc  = desc("hook_superseded_total", "Events that a hook was not told, because a newer one came before their turn.", "hook")
	hookRunningDesc     = desc("hook_running", "Runs of a hook at this moment.", "hook")
	hookWaitingDesc     = desc("hook_waiting", "Events that wait for a hook.", "hook")
	hookFailingDesc     = desc("hook_failing", "Virtual routers, services and servers whose latest event a hook was not told, although all attempts were made.", "hook")
	hookLastDesc        = desc("hook_last_run_timestamp_seconds", "When the last run of a hook ended; absent before the first.", "hook")
	hookLastLatencyDesc = desc("hook_last_run_seconds", "How long the last run of a hook took; absent before the first.", "hook")
)

func hookStatus(all []hooks.Stat) (rows []api.Hook) {
	for _, is := range all {
		row := api.Hook{
			Name: is.Hook.Name, Command: is.Hook.Command, URL: withoutQuery(is.Hook.URL),
			Running: is.Running, Waiting: is.Waiting, Failing: is.Failing,
			Succeeded: is.Succeeded, Failed: is.Failed, Superseded: is.Superseded,
			Last: hookRun(is.Last), LastFailure: hookRun(is.LastFailure),
		}
		for _, e := range is.Hook.On {
			row.On = append(row.On, e.String())
		}
		rows = append(rows, row)
	}
	return rows
}

// withoutQuery leaves out the part of a URL in which some services want a token.
func withoutQuery(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.RawQuery == "" {
		return text
	}
	u.RawQuery = "…"
	return u.String()
}

func hookRun(r *hooks.Ended) *api.HookRun {
	if r == nil {
		return nil
	}
	return &api.HookRun{
		Subject: r.Subject.String(), Event: r.What.String(), Attempt: r.Attempt, EndedAt: r.At, TookSeconds: r.Took.Seconds(), Error: r.Problem,
	}
}

// hookWarnings returns sentences about hooks that fail.
func hookWarnings(all []hooks.Stat) (sentences []string) {
	for _, is := range all {
		if is.Failing == 0 {
			continue
		}
		others := ""
		if is.Failing > 1 {
			others = fmt.Sprintf(", and so it does for %d others", is.Failing-1)
		}
		last := is.GivenUp
		sentences = append(sentences, fmt.Sprintf("the hook %s fails for %s, event %s: %s%s; it is not tried again: "+
			"repair it, then give the command tandem reload", is.Hook.Name, last.Subject, last.What, last.Problem, others))
	}
	return sentences
}

func collectHooks(out sink, all []api.Hook) {
	for _, h := range all {
		out.count(hookRunsDesc, h.Succeeded, h.Name, "success")
		out.count(hookRunsDesc, h.Failed, h.Name, "failure")
		out.count(hookSupersededDesc, h.Superseded, h.Name)
		out.gauge(hookRunningDesc, float64(h.Running), h.Name)
		out.gauge(hookWaitingDesc, float64(h.Waiting), h.Name)
		out.gauge(hookFailingDesc, float64(h.Failing), h.Name)
		if h.Last != nil {
			out.gauge(hookLastDesc, float64(h.Last.EndedAt.UnixMilli())/1000, h.Name)
			out.gauge(hookLastLatencyDesc, h.Last.TookSeconds, h.Name)
		}
	}
}
