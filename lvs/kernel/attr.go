// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// align returns n rounded up to the alignment of netlink messages and attributes.
func align(n int) int { return (n + unix.NLA_ALIGNTO - 1) &^ (unix.NLA_ALIGNTO - 1) }

// appendHead appends the head of an attribute whose value has n bytes.
func appendHead(b []byte, kind uint16, n int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.NLA_HDRLEN+n))
	return binary.NativeEndian.AppendUint16(b, kind)
}

// appendAttr appends an attribute and its padding.
func appendAttr[V ~string | ~[]byte](b []byte, kind uint16, value V) []byte {
	b = append(appendHead(b, kind, len(value)), value...)
	return append(b, make([]byte, align(len(value))-len(value))...)
}

func appendAttr8(b []byte, kind uint16, v uint8) []byte {
	return append(appendHead(b, kind, 1), v, 0, 0, 0)
}

func appendAttr16(b []byte, kind, v uint16) []byte {
	return append(binary.NativeEndian.AppendUint16(appendHead(b, kind, 2), v), 0, 0)
}

func appendAttr32(b []byte, kind uint16, v uint32) []byte {
	return binary.NativeEndian.AppendUint32(appendHead(b, kind, 4), v)
}

// appendPort appends an attribute in network byte order.
func appendPort(b []byte, kind, port uint16) []byte {
	return append(binary.BigEndian.AppendUint16(appendHead(b, kind, 2), port), 0, 0)
}

// appendText appends an attribute with a terminating zero.
func appendText(b []byte, kind uint16, s string) []byte { return appendAttr(b, kind, s+"\x00") }

// nest appends the head of an attribute that holds others, which unnest completes.
func nest(b []byte, kind uint16) (nested []byte, start int) {
	return appendHead(b, kind|unix.NLA_F_NESTED, 0), len(b)
}

func unnest(b []byte, start int) { binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start)) }

// An attribute is part of a message from the kernel. A value that is too short for what is asked reads as 0.
type attribute struct {
	kind  uint16
	value []byte
}

// nextAttr returns the first attribute and the rest. ok is false at the end, and if the bytes are not an attribute.
func nextAttr(b []byte) (a attribute, rest []byte, ok bool) {
	if len(b) < unix.NLA_HDRLEN {
		return attribute{}, nil, false
	}
	length := int(binary.NativeEndian.Uint16(b))
	if length < unix.NLA_HDRLEN || length > len(b) {
		return attribute{}, nil, false
	}
	a.kind = binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	a.value = b[unix.NLA_HDRLEN:length]
	return a, b[min(align(length), len(b)):], true
}

func (a attribute) uint8() uint8 {
	if len(a.value) < 1 {
		return 0
	}
	return a.value[0]
}

func (a attribute) uint16() uint16 {
	if len(a.value) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(a.value)
}

// port returns a number in network byte order.
func (a attribute) port() uint16 {
	if len(a.value) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(a.value)
}

func (a attribute) uint32() uint32 {
	if len(a.value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a.value)
}

func (a attribute) uint64() uint64 {
	if len(a.value) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(a.value)
}

// text returns the value without its terminating zero. It does not keep the message alive.
func (a attribute) text() string {
	for i, c := range a.value {
		if c == 0 {
			return intern(a.value[:i])
		}
	}
	return intern(a.value)
}
