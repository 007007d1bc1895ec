// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

func TestAvailableSchedulers(t *testing.T) {
	const (
		dep     = "kernel/net/netfilter/ipvs/ip_vs_wrr.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\nextra/ip_vs_mh.ko:\n"
		builtin = "kernel/net/netfilter/ipvs/ip_vs_rr.ko\n"
		loaded  = "ip_vs_sh 16384 1 - Live 0x0\nip_vs 180224 3 ip_vs_sh,ip_vs_lc, Live 0x0\n"
	)
	for _, c := range []struct {
		files map[string]string
		want  string // empty: it cannot be known
	}{
		{map[string]string{"modules.dep": dep, "modules.builtin": builtin, "loaded": loaded}, "rr wrr sh mh"},
		{map[string]string{"modules.dep": dep}, "wrr mh"},
		{map[string]string{"modules.builtin": builtin}, "rr"},
		{map[string]string{"loaded": loaded}, ""},
		{nil, ""},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := availableSchedulers(filepath.Join(dir, "loaded"), dir)
		if strings.Join(got, " ") != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%v: %v, %v, want %s", slices.Sorted(maps.Keys(c.files)), got, err, c.want)
		}
	}
}

func TestExplainAbsent(t *testing.T) {
	plain, sip := service(www, "twos"), service(dns, "rr")
	sip.Engine = "sip"
	for _, c := range []struct {
		service lvs.Service
		have    []string
		want    string
	}{
		{plain, []string{"rr", "wrr"}, "the kernel has no scheduler twos: modprobe ip_vs_twos, or choose one of rr, wrr: "},
		{plain, nil, "the kernel has no scheduler twos: modprobe ip_vs_twos, or choose another: "},
		{sip, []string{"rr"}, "the kernel has no persistence engine sip: modprobe ip_vs_pe_sip: "},
		{sip, []string{"wrr"}, "the kernel has no scheduler rr: modprobe ip_vs_rr, or choose one of wrr: "},
		{sip, nil, "the kernel has no scheduler rr or no persistence engine sip: modprobe ip_vs_rr ip_vs_pe_sip: "},
	} {
		err := explainAbsent(c.service, c.have, unix.ENOENT)
		if !errors.Is(err, unix.ENOENT) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s, of %v: %v", c.service, c.have, err)
		}
	}
}
