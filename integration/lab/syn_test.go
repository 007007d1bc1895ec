// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"testing"
)

func TestAnsweredSYN(t *testing.T) {
	packet := func(from, to uint16, flags byte) []byte {
		p := make([]byte, 20+tcpHeader)
		p[0] = 0x45
		binary.BigEndian.PutUint16(p[20:], from)
		binary.BigEndian.PutUint16(p[22:], to)
		p[33] = flags
		return p
	}
	for _, tt := range []struct {
		name   string
		packet []byte
		latest uint64
		want   uint64
		ok     bool
	}{
		{"the latest", packet(80, firstPort+7, tcpSYN|tcpACK), 7, 7, true},
		{"an older one", packet(80, firstPort+3, tcpSYN|tcpACK), 7, 3, true},
		{"one before the ports began again", packet(80, firstPort+portCount-1, tcpSYN|tcpACK), portCount + 2, portCount - 1, true},
		{"one after that", packet(80, firstPort+1, tcpSYN|tcpACK), portCount + 2, portCount + 1, true},
		{"one that was never asked", packet(80, firstPort+8, tcpSYN|tcpACK), 7, 0, false},
		{"a reset", packet(80, firstPort+7, 0x04|tcpACK), 7, 0, false},
		{"another service", packet(81, firstPort+7, tcpSYN|tcpACK), 7, 0, false},
		{"another program's connection", packet(80, firstPort-1, tcpSYN|tcpACK), 7, 0, false},
		{"cut short", packet(80, firstPort+7, tcpSYN|tcpACK)[:30], 7, 0, false},
		{"nothing", nil, 7, 0, false},
	} {
		if got, ok := answeredSYN(tt.packet, 80, tt.latest); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s: %d, %t, want %d, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}
