// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/doctor"
)

// TestCheckSaysWhatAFileIs: for which machine the file is, and what could be better.
func TestCheckSaysWhatAFileIs(t *testing.T) {
	const service = "[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]\n"
	for _, tt := range []struct{ text, out, note string }{
		{"[realserver]\nvips = [\"192.0.2.100\"]", "ok (real server: 1 VIP, mode dr)", ""},
		{"[realserver]\nvips = [\"192.0.2.100\", \"2001:db8::100\"]\nmode = \"tunnel\"", "ok (real server: 2 VIPs, mode tunnel)", ""},
		{service, "ok (virtual routers: 0, services: 1)", ""},
		{"realserver.vips = [\"192.0.2.101\"]\n" + service, "ok (virtual routers: 0, services: 1, real server: 1 VIP, mode dr)", ""},
		{service + "check = { type = \"tcp\" }", "ok (virtual routers: 0, services: 1)", "service www: no check asks through the VIP"},
	} {
		file := writeConfig(t, tt.text)
		out, errs, err := execute(t, "check", file)
		if err != nil || out != file+": "+tt.out+"\n" || tt.note != "" && !strings.Contains(errs, "note: "+file+": "+tt.note) || strings.Contains(errs, "note: ") != (tt.note != "") {
			t.Errorf("%s\noutput %q, standard error %q, error %v", tt.text, out, errs, err)
		}
	}
}

// TestACleanDoctorSaysSo: silence could also mean that nothing was looked at.
func TestACleanDoctorSaysSo(t *testing.T) {
	for asJSON, want := range map[bool]string{false: "ok: no fault was found\n", true: "[]\n"} {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetOut(&out)
		if err := report(cmd, []doctor.Finding{}, asJSON); err != nil || out.String() != want {
			t.Errorf("JSON %t: %q, %v, want %q", asJSON, out.String(), err, want)
		}
	}
}

type reloadable struct{ forgetful }

func (reloadable) Reload(string) (control.Applied, error) { return control.Applied{}, nil }

func (reloadable) Status() control.Status { return control.Status{} }

func TestReloadSaysThatItWorked(t *testing.T) {
	if out, errs, err := execute(t, "reload", "--socket", serveControl(t, reloadable{})); err != nil || errs != "" || !strings.HasPrefix(out, "ok: ") {
		t.Errorf("output %q, standard error %q, error %v", out, errs, err)
	}
}
