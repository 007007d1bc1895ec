// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A deployment is a pair as people build it.
type deployment struct {
	name     string // of its folder in testdata
	vips     []string
	advert   time.Duration
	priority map[string]int // of the first virtual router, by machine
	sticky   bool           // the master stays master when the other director is well again
	split    bool           // director-b is the master of the second address
	program  string         // that runs on both directors; "": none
	track    time.Duration  // after its end, the director steps back at the latest
	ipvs     bool
	reaction time.Duration     // of the scripts, and of the clients' neighbour tables
	settles  time.Duration     // the longest time until a director that is well again takes over, without the election's
	byHand   map[string]string // what the import leaves to the operator, and how the scene does it, by keyword
	build    func(*scene)
	fault    func(*scene)               // of what is not a program of the directors; nil: none
	from     func(answer string) string // which director the answer is from; nil: it does not say
}

// reaction is the usual one: a question and the announcement.
const reaction = 100 * time.Millisecond

// emulated is the same on an emulated machine, where a client asks less often, and all take longer.
const emulated = 300 * time.Millisecond

func priorities(a, b int) map[string]int { return map[string]int{"a": a, "b": b} }

func deployments() []deployment {
	const vip = lab.VIP
	second := time.Second
	return []deployment{
		{name: "kubeadm", vips: []string{vip}, advert: second, priority: priorities(110, 100), program: "haproxy", track: 3*2*second + 2*second,
			settles: 4 * second, reaction: reaction, from: throughDirector, build: kubeadm},
		{name: "unicast-notify", vips: []string{vip}, advert: second, priority: priorities(150, 100), program: "nginx", track: 2 * second,
			settles: 2 * second, reaction: reaction, from: itself, build: unicastNotify},
		{name: "two-instances", vips: []string{vip, "192.0.2.101"}, advert: second, priority: priorities(150, 100), split: true,
			program: "haproxy", track: 2 * second, settles: 2 * second, reaction: reaction, from: throughDirector, build: twoInstances},
		{name: "openshift-api", vips: []string{vip}, advert: second, priority: priorities(70, 70), sticky: true, program: "haproxy",
			track: 3*second + second, settles: 3 * second, reaction: reaction, from: throughDirector, build: openshift},
		{name: "group-notify", vips: []string{vip, "198.51.100.100"}, advert: second, priority: priorities(120, 110), program: "haproxy",
			track: 2 * second, settles: 2 * second, reaction: reaction, from: throughDirector, build: groupNotify},
		{name: "gateway-vmac", vips: []string{vip, "198.51.100.1"}, advert: second / 2, priority: priorities(200, 100),
			settles: second, reaction: reaction, build: gateway, fault: unplugged},
		{name: "dual-stack-mail", vips: []string{vip, "2001:db8::100"}, advert: second, priority: priorities(110, 100), program: "nginx",
			track: 2 * second, settles: 2 * second, reaction: reaction, from: itself, build: dualStack, byHand: mailByHand},
		{name: "cloud-address", vips: []string{vip}, advert: second, priority: priorities(120, 100), sticky: true, program: "haproxy",
			track: 2 * second, settles: 2 * second, reaction: reaction, from: throughDirector, build: cloud},
		{name: "mysql-dr", ipvs: true, vips: []string{vip}, advert: second, priority: priorities(150, 100), settles: 3 * second,
			reaction: emulated, build: mysql},
		{name: "dns-nat", ipvs: true, vips: []string{vip, "198.51.100.1"}, advert: second, priority: priorities(150, 100),
			settles: 3 * second, reaction: emulated, build: nameServers},
	}
}

// itself is for pages that name the director.
func itself(answer string) string {
	return map[string]string{"director-a": "a", "director-b": "b"}[answer]
}

func (s *scene) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 4*s.limit)
}

func kubeadm(s *scene) {
	for i := 1; i <= 2; i++ {
		s.standIn(s.Host(fmt.Sprintf("control-%d", i), fmt.Sprintf("192.0.2.1%d/24", i)), 6443, true)
	}
	s.questions = []question{s.get("https://" + lab.VIP + ":6443/livez")}
}

func unicastNotify(s *scene) { s.questions = []question{s.get("http://" + lab.VIP + "/")} }

func (s *scene) webServers(network string) {
	for i := 1; i <= 2; i++ {
		s.standIn(s.HostAt(map[bool]string{true: lab.MainSwitch, false: inside}[network == "192.0.2"], fmt.Sprintf("web-%d", i),
			fmt.Sprintf("%s.1%d/24", network, i)), 80, false)
	}
}

func twoInstances(s *scene) {
	s.webServers("192.0.2")
	for _, vip := range s.vips {
		s.questions = append(s.questions, s.get("http://"+vip+"/"))
	}
}

func openshift(s *scene) {
	for i := range 2 {
		h := s.Host(fmt.Sprintf("master-%d", i), fmt.Sprintf("192.0.2.1%d/24", i+1))
		s.standIn(h, 6443, true)
		s.standIn(h, 22623, true)
	}
	s.questions = []question{s.get("https://" + lab.VIP + ":6443/readyz"), s.get("https://" + lab.VIP + ":22623/config/worker")}
}

// inside is the network behind the directors.
const inside = "inside"

func (s *scene) joinInside() {
	s.a.join(inside, "198.51.100.2/24")
	s.b.join(inside, "198.51.100.3/24")
}

func groupNotify(s *scene) {
	s.joinInside()
	s.webServers("198.51.100")
	s.questions = []question{s.get("http://" + lab.VIP + "/")}
}

// route makes the directors routers, with no filter of sources: the addresses are on interfaces of their own.
func (s *scene) route() {
	for _, m := range []*machine{s.a, s.b} {
		m.Sysctl(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.default.rp_filter": "0",
			"net.ipv4.conf.all.send_redirects": "0"})
	}
}

func gateway(s *scene) {
	s.joinInside()
	s.route()
	// The client is in the inner network here, and nginx outside.
	s.client = s.HostAt(inside, "laptop", "198.51.100.50/24")
	s.client.Run("ip", "route", "add", "default", "via", "198.51.100.1")
	server := s.Host("web", "192.0.2.50/24")
	server.Run("ip", "route", "add", "198.51.100.0/24", "via", lab.VIP)
	s.serveFile(server, "nginx.conf", "nginx", "-c")
	s.questions = []question{s.get("http://192.0.2.50/")}
}

// unplugged pulls the cable of director-a's inner network out. director-a cannot say there that it leaves, and keepalived waits until all
// members of its group hear nothing.
func unplugged(s *scene) {
	s.take("cable of a unplugged", s.only("b"), s.down(s.b)+s.reaction, func() { s.a.CutAt(inside) })
	s.take("back", s.after("b"), s.reaction, func() { s.a.PlugAt(inside) })
}

// serveFile starts a server that is behind the directors, with a file of the deployment.
func (s *scene) serveFile(h *lab.Host, file, program string, args ...string) {
	text, err := testdata.ReadFile("testdata/" + s.name + "/behind/" + file)
	s.must(err)
	s.behind[h.Name] = h.Start(program, append(args, h.WriteFile(file, string(text)))...)
}

// mailByHand is what the note about the mail server says: the sendmail program of the machine needs to know it.
var mailByHand = map[string]string{
	"notification_email_from": "the mail server goes to /etc/msmtprc",
	"smtp_server":             "the mail server goes to /etc/msmtprc",
	"smtp_connect_timeout":    "the mail server goes to /etc/msmtprc",
}

func dualStack(s *scene) {
	s.client.Run("ip", "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
	s.a.Run("ip", "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	s.b.Run("ip", "address", "add", "2001:db8::3/64", "dev", "eth0", "nodad")
	s.mails = s.mailSink(s.Host("mail", "192.0.2.25/24"))
	s.installMailHook()
	s.must(os.WriteFile("/etc/msmtprc", []byte("defaults\ntimeout 10\nauto_from off\naccount default\nhost 192.0.2.25\nfrom director-a@example.net\n"), 0o644))
	s.questions = []question{s.get("http://" + lab.VIP + "/"), s.get("http://[2001:db8::100]/")}
}

func cloud(s *scene) {
	s.webServers("192.0.2")
	s.questions = []question{s.get("http://" + lab.VIP + "/")}
}
