// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"time"
)

var (
	tagged   = regexp.MustCompile(`^v([0-9]+(?:\.[0-9]+)*)(?:-((?:alpha|beta|rc)\.?[0-9]*))?(?:-([0-9]+)-(g[0-9a-f]+))?(-dirty)?$`)
	untagged = regexp.MustCompile(`^([0-9a-f]{7,40})(-dirty)?$`)
)

// packageVersion returns what git describe says as a version that the package manager of a format orders correctly: candidates,
// then the release, then the commits after it. Before the first tag, the commit's time orders the versions.
func packageVersion(format, described string, committed time.Time) (string, error) {
	later := "+"
	if format == "rpm" {
		later = "^" // rpm ignores a plus sign
	}
	if m := untagged.FindStringSubmatch(described); m != nil {
		version := "0~" + committed.UTC().Format("20060102150405") + ".g" + m[1]
		if m[2] != "" {
			version += ".dirty"
		}
		return version, nil
	}
	m := tagged.FindStringSubmatch(described)
	if m == nil {
		return "", fmt.Errorf("the version %q is neither a tag such as v1.2.3 or v1.2.3-rc1, nor git describe's name of a commit", described)
	}
	version := m[1]
	if m[2] != "" {
		version += "~" + m[2]
	}
	switch {
	case m[3] != "":
		version += later + m[3] + "." + m[4]
	case m[5] != "":
		version += later + "0"
	}
	if m[5] != "" {
		version += ".dirty"
	}
	return version, nil
}
