// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// File types of a newc archive, as in stat(2).
const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
	cpioLink = 0o120000
	cpioChar = 0o020000
)

// A cpioWriter writes an initramfs in the newc format (the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst). The archive is not compressed: under emulation the kernel
// unpacks plain bytes far faster.
type cpioWriter struct {
	buf   bytes.Buffer
	inode int
}

// entry adds one file; rmajor and rminor are the numbers of a character device.
func (w *cpioWriter) entry(name string, mode uint32, data []byte, rmajor, rminor int) {
	w.inode++
	fmt.Fprintf(&w.buf, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", w.inode, mode, 0, 0, 1, 0,
		len(data), 0, 0, rmajor, rminor, len(name)+1, 0)
	w.buf.WriteString(name)
	w.buf.WriteByte(0)
	w.align()
	w.buf.Write(data)
	w.align()
}

func (w *cpioWriter) align() {
	for w.buf.Len()%4 != 0 {
		w.buf.WriteByte(0)
	}
}

// bytes ends the archive and returns it.
func (w *cpioWriter) bytes() []byte {
	w.entry("TRAILER!!!", 0, nil, 0, 0)
	return w.buf.Bytes()
}

// initramfs makes the archive to boot from: the base's tree, the run's files, and the payload as /init.
func initramfs(tree []byte, files []runFile) ([]byte, error) {
	w := new(cpioWriter)
	w.buf.Grow(len(tree) + len(tree)/4)
	tr := tar.NewReader(bytes.NewReader(tree))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the lab's tree: %w", err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			return nil, fmt.Errorf("read the lab's tree: %w", err)
		}
		name, mode := strings.TrimSuffix(h.Name, "/"), uint32(h.Mode)
		switch h.Typeflag {
		case tar.TypeDir:
			w.entry(name, cpioDir|mode, nil, 0, 0)
		case tar.TypeSymlink:
			w.entry(name, cpioLink|mode, []byte(h.Linkname), 0, 0)
		case tar.TypeReg:
			w.entry(name, cpioFile|mode, data, 0, 0)
		}
	}
	// The kernel opens it for init before anything is mounted.
	w.entry("dev/console", cpioChar|0o600, nil, 5, 1)
	for _, f := range files {
		w.entry(strings.TrimPrefix(inside, "/")+"/"+f.name, cpioFile|f.mode, f.data, 0, 0)
	}
	w.entry("init", cpioLink|0o777, []byte(payloadPath), 0, 0)
	return w.bytes(), nil
}
