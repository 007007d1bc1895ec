// SPDX-License-Identifier: Apache-2.0

package election

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEachMapping(t *testing.T) {
	const text = `00400000-00d06000 r-xp 00000000 fe:00 9994907                            /opt/my tandem
00d06000-01725000 r--p 00906000 fe:00 9994907                            /opt/my tandem
01725000-0179c000 rw-p 01325000 fe:00 9994907                            /opt/my tandem
44d6c800000-44d6d400000 rw-p 00000000 00:00 0
7f7596640000-7f7596900000 r--p 00000000 fe:00 77                         /opt/other
nonsense
`
	type mapping struct{ start, end uintptr }
	var got []mapping
	errs := eachMapping(text, "/opt/my tandem", func(start, end uintptr) error {
		got = append(got, mapping{start, end})
		return os.ErrInvalid
	})
	want := []mapping{{0x400000, 0xd06000}, {0xd06000, 0x1725000}}
	if !reflect.DeepEqual(got, want) || len(errs) != len(want) {
		t.Errorf("%x, %d errors; want %x and as many errors", got, len(errs), want)
	}
}

func TestReleaseProgramLessensWhatIsResident(t *testing.T) {
	resident := func() int {
		text, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "RssFile:")
		kb, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return kb
	}
	// The process of an earlier test may have released it already.
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range eachMapping(string(text), program, func(start, end uintptr) error {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_POPULATE_READ); errno != 0 {
			return errno
		}
		return nil
	}) {
		t.Fatal(err)
	}
	before := resident()
	if err := releaseProgram(); err != nil {
		t.Fatal(err)
	}
	if after := resident(); after > before*3/4 {
		t.Errorf("%d kB of files are resident, %d kB before: want three quarters at most", after, before)
	}
}
