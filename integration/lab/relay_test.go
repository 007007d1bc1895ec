// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRelay(t *testing.T) {
	long := strings.Repeat("0123456789\n", 20_000)
	for _, tt := range []struct {
		name, in, out string
		code          int
		err           string
	}{
		{name: "nothing said", in: exitMark + "0\n"},
		{name: "output, then success", in: "PASS\n" + exitMark + "0\n", out: "PASS\n"},
		{name: "failure", in: "FAIL\n" + exitMark + "1\n", out: "FAIL\n", code: 1},
		{name: "no line end before the mark", in: "half" + exitMark + "2\n", out: "half", code: 2},
		{name: "more than a buffer", in: long + exitMark + "3\n", out: long, code: 3},
		{name: "zero bytes of the payload's own", in: "a\x00b\x00\n\x00" + exitMark + "4\n", out: "a\x00b\x00\n\x00", code: 4},
		{name: "what comes after the mark is not the payload's", in: exitMark + "0\nreboot\n"},
		{name: "machine dies", in: "=== RUN", out: "=== RUN", err: "it ended without a result"},
		{name: "machine dies within the mark", in: "a" + exitMark[:5], out: "a" + exitMark[:5], err: "it ended without a result"},
		{name: "machine dies within the result", in: exitMark + "1", err: "it ended within its result"},
		{name: "no number", in: exitMark + "x\n", err: `it ended with a result that is no exit code: strconv.Atoi: parsing "x": invalid syntax`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			code, err := relay(&out, iotest.HalfReader(strings.NewReader(tt.in)))
			if got := fmt.Sprint(err); code != tt.code || (tt.err == "" && err != nil) || (tt.err != "" && got != tt.err) {
				t.Errorf("code %d, error %v, want %d, %q", code, err, tt.code, tt.err)
			}
			if out.String() != tt.out {
				t.Errorf("output %.80q, want %.80q", out.String(), tt.out)
			}
		})
	}
}

func FuzzRelay(f *testing.F) {
	f.Add([]byte("PASS\n"), 0)
	f.Add([]byte("\x00\x00tandem-lab exi"), 255)
	f.Fuzz(func(t *testing.T, payload []byte, code int) {
		if bytes.Contains(payload, []byte(exitMark)) || code < 0 {
			return // not what a payload says
		}
		var out bytes.Buffer
		in := append(append([]byte{}, payload...), fmt.Sprintf("%s%d\n", exitMark, code)...)
		got, err := relay(&out, iotest.OneByteReader(bytes.NewReader(in)))
		if err != nil || got != code || !bytes.Equal(out.Bytes(), payload) {
			t.Errorf("code %d, %v, output %q, want %d, %q", got, err, out.Bytes(), code, payload)
		}
	})
}

func TestGuestFlags(t *testing.T) {
	got := guestFlags([]string{
		"-test.testlogfile=/tmp/x", "-test.paniconexit0", "-test.timeout=10m0s", "-test.run=^TestA$", "--test.coverprofile=c.out",
		"-test.v=true", "-test.cpuprofile=cpu", "-test.count=2", "plain",
	})
	want := "[-test.paniconexit0 -test.timeout=10m0s -test.run=^TestA$ -test.v=true -test.count=2 plain]"
	if fmt.Sprint(got) != want {
		t.Errorf("flags %v, want %s", got, want)
	}
}
