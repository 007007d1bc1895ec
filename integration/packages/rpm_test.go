// SPDX-License-Identifier: Apache-2.0

package packages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Tags of a header. See rpm's docs, manual/tags.
const (
	tagName, tagVersion, tagRelease, tagSummary, tagBuildHost, tagArch = 1000, 1001, 1002, 1004, 1007, 1022

	tagPost, tagPreun, tagPostun             = 1024, 1025, 1026
	tagModes, tagTimes, tagFlags, tagUsers   = 1030, 1034, 1037, 1039
	tagDirIndexes, tagBaseNames, tagDirNames = 1116, 1117, 1118
)

// An rpmHeader is the second header of an RPM package: what is in it, and how it is installed.
type rpmHeader struct {
	entries map[uint32]rpmEntry
	store   []byte
}

type rpmEntry struct{ Tag, Type, Offset, Count uint32 }

// readRPM returns the header of a package. The format: lead of 96 bytes, header of signatures, padding to 8 bytes, header.
func readRPM(text []byte) (rpmHeader, error) {
	const lead = 96
	if len(text) < lead || !bytes.HasPrefix(text, []byte{0xed, 0xab, 0xee, 0xdb}) {
		return rpmHeader{}, fmt.Errorf("no RPM package: it begins with % x", text[:min(4, len(text))])
	}
	_, size, err := readHeader(text[lead:])
	if err != nil {
		return rpmHeader{}, err
	}
	h, _, err := readHeader(text[lead+(size+7)/8*8:])
	return h, err
}

// readHeader returns a header and its length.
func readHeader(text []byte) (rpmHeader, int, error) {
	const preamble, entry = 16, 16
	if len(text) < preamble || !bytes.HasPrefix(text, []byte{0x8e, 0xad, 0xe8, 1}) {
		return rpmHeader{}, 0, fmt.Errorf("no header of an RPM package")
	}
	count, stored := int(binary.BigEndian.Uint32(text[8:])), int(binary.BigEndian.Uint32(text[12:]))
	size := preamble + entry*count + stored
	if size > len(text) {
		return rpmHeader{}, 0, fmt.Errorf("the header of the RPM package is cut off")
	}
	h := rpmHeader{make(map[uint32]rpmEntry), text[preamble+entry*count : size]}
	for i := range count {
		var e rpmEntry
		if _, err := binary.Decode(text[preamble+entry*i:], binary.BigEndian, &e); err != nil {
			return rpmHeader{}, 0, err
		}
		h.entries[e.Tag] = e
	}
	return h, size, nil
}

// texts returns the strings of a tag.
func (h rpmHeader) texts(tag uint32) []string {
	e, ok := h.entries[tag]
	if !ok {
		return nil
	}
	return strings.SplitN(string(h.store[e.Offset:]), "\x00", int(e.Count)+1)[:e.Count]
}

// text returns the only string of a tag.
func (h rpmHeader) text(tag uint32) string { return strings.Join(h.texts(tag), "\n") }

// numbers returns the numbers of a tag, of 16 or 32 bits.
func (h rpmHeader) numbers(tag uint32) (all []int) {
	const int16s = 3
	e := h.entries[tag]
	for i := range e.Count {
		if e.Type == int16s {
			all = append(all, int(binary.BigEndian.Uint16(h.store[e.Offset+2*i:])))
		} else {
			all = append(all, int(binary.BigEndian.Uint32(h.store[e.Offset+4*i:])))
		}
	}
	return all
}
