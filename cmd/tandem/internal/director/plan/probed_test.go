// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// TestProbedCauses: a plan counts the new servers, and why some are not healthy.
func TestProbedCauses(t *testing.T) {
	const old = "[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\ncheck = { type = \"tcp\" }\n[[service.server]]\naddress = \"192.0.2.11\"\n"
	added := old
	probes := make(map[CheckID]Probe)
	for address, is := range map[string]Probe{
		"192.0.2.12": {Result: healthcheck.Result{Outcome: healthcheck.Passed, Reason: "connected"}},
		"192.0.2.13": {Result: healthcheck.Result{Outcome: healthcheck.Failed, Reason: "connection refused"}},
		"192.0.2.14": {Result: healthcheck.Result{Outcome: healthcheck.Failed, Reason: "no answer"}},
		"192.0.2.15": {Result: healthcheck.Result{Outcome: healthcheck.Failed, Reason: "connection refused"}},
		"192.0.2.16": {NotRun: "checks were left out"},
	} {
		added += "[[service.server]]\naddress = \"" + address + "\"\n"
		probes[CheckID{Server: "www/" + address + ":80"}] = is
	}
	in := situation{probes: probes}.input(t, old, added)
	want := api.Probed{Healthy: 1, Failed: 3, NotProbed: 1, Causes: []api.ProbedCause{{Servers: 2, Reason: "connection refused"}, {Servers: 1, Reason: "no answer"}}}
	if got := Probed(in); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := lines(Of(in)); !strings.Contains(got, "not checked before the reload: checks were left out") {
		t.Errorf("lines:\n%s", got)
	}
}
