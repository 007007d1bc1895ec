// SPDX-License-Identifier: Apache-2.0

package link

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

// usernsVar makes the test binary a watcher that only subscribes.
const usernsVar = "TANDEM_TEST_USERNS"

// In a container with a user namespace the kernel refuses SO_RCVBUFFORCE, whatever capabilities the container has.
func TestWatcherInAUserNamespace(t *testing.T) {
	if os.Getenv(usernsVar) != "" {
		s, err := NewWatcher(hclog.NewNullLogger(), func(vrrp.Link) {}).subscribe()
		if err != nil {
			t.Fatal(err)
		}
		s.events.Close()
		s.handle.Close()
		return
	}
	child := exec.Command("/proc/self/exe", "-test.run", "^TestWatcherInAUserNamespace$")
	child.Env = append(os.Environ(), usernsVar+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "fork/exec") {
		t.Fatalf("this machine makes no user namespaces, which this test needs: %v", err)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
