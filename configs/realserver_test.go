// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestRealServer(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.100")
	for _, tt := range []struct {
		name, text string
		want       *RealServer
		mistake    string
	}{
		{"none", ``, nil, ""},
		{"defaults", `realserver.vips = ["192.0.2.100"]`,
			&RealServer{VIPs: []netip.Addr{vip}, Mode: "dr", Method: "sysctl"}, ""},
		{"everything", "[realserver]\nvips = [\"192.0.2.100\"]\nmode = \"tunnel\"\nmethod = \"arpfilter\"\ninterfaces = [\"eth1\"]\npersist = true",
			&RealServer{VIPs: []netip.Addr{vip}, Mode: "tunnel", Method: "arpfilter",
				Interfaces: []string{"eth1"}, Persist: true}, ""},
		{"no VIP", "[realserver]\nmode = \"dr\"", nil, "realserver.vips: is missing"},
		{"a prefix", `realserver.vips = ["192.0.2.100/24"]`, nil, `realserver.vips[0]: "192.0.2.100/24" is not an address`},
		{"twice", `realserver.vips = ["192.0.2.100", "192.0.2.100"]`, nil, "realserver.vips[1]: 192.0.2.100 is already realserver.vips[0]"},
		{"a director's own", "realserver.vips = [\"192.0.2.100\"]\n[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 1\nvips = [\"192.0.2.100/24\"]",
			nil, `realserver.vips[0]: 192.0.2.100 is a VIP of [[vrrp]] "web" too`},
		{"a mode of ipvsadm", "[realserver]\nvips = [\"192.0.2.100\"]\nmode = \"tun\"", nil, "realserver.mode: unknown value \"tun\"; did you mean `tunnel`?"},
		{"another", "[realserver]\nvips = [\"192.0.2.100\"]\nmode = \"gate\"", nil, "realserver.mode: unknown value \"gate\"; did you mean `dr`?"},
		{"unknown method", "[realserver]\nvips = [\"192.0.2.100\"]\nmethod = \"arptables\"", nil, `unknown value "arptables"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("x.toml", []byte(tt.text))
			switch {
			case tt.mistake != "":
				if err == nil || !strings.Contains(err.Error(), tt.mistake) {
					t.Errorf("error %v, want %s", err, tt.mistake)
				}
			case err != nil:
				t.Error(err)
			case !reflect.DeepEqual(c.RealServer, tt.want):
				t.Errorf("%+v, want %+v", c.RealServer, tt.want)
			case tt.want != nil && len(c.Warnings) > 0:
				t.Errorf("warnings %v", c.Warnings)
			}
		})
	}
}
