// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A bom is a bill of materials in the form of CycloneDX 1.6: https://cyclonedx.org/docs/1.6/json/
type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Ref      string    `json:"bom-ref"`
	Type     string    `json:"type"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Hashes   []hash    `json:"hashes,omitempty"`
	Licences []licence `json:"licenses"`
	PURL     string    `json:"purl"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// A licence is an SPDX identifier, or an expression of several.
type licence struct {
	Licence    *identifier `json:"license,omitempty"`
	Expression string      `json:"expression,omitempty"`
}

type identifier struct {
	ID string `json:"id"`
}

type dependency struct {
	Ref  string   `json:"ref"`
	Uses []string `json:"dependsOn"`
}

// billOfMaterials returns the modules that the Go toolchain has recorded in a binary, with their checksums and licences. Every module of
// the binary needs a licence.
func billOfMaterials(info *debug.BuildInfo, release string, epoch time.Time, binary []byte, licences []licensed) ([]byte, error) {
	main := purl(info.Main.Path, release)
	sum := sha256.Sum256(binary)
	b := bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Serial: "urn:uuid:" + uuid(sum),
		Metadata: metadata{
			Timestamp: epoch.UTC().Format(time.RFC3339),
			Component: component{
				Ref: main, Type: "application", Name: "tandem", Version: release, PURL: main,
				Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Licences: []licence{{Licence: &identifier{"Apache-2.0"}}},
			},
		},
	}
	modules := []*debug.Module{{Path: standardLibrary, Version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) })
	uses := dependency{Ref: main}
	for _, m := range modules {
		i := slices.IndexFunc(licences, func(l licensed) bool { return l.module == m.Path })
		if i < 0 {
			return nil, fmt.Errorf("the binary has the module %s %s, but no licence of it was found", m.Path, m.Version)
		}
		c := component{Ref: purl(m.Path, m.Version), Type: "library", Name: m.Path, Version: m.Version, PURL: purl(m.Path, m.Version)}
		c.Licences = []licence{{Licence: &identifier{licences[i].licence}}}
		if strings.Contains(licences[i].licence, " ") {
			c.Licences = []licence{{Expression: licences[i].licence}}
		}
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); m.Sum != "" && err == nil {
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}} // of the list of the module's files, as in go.sum
		}
		b.Components = append(b.Components, c)
		uses.Uses = append(uses.Uses, c.Ref)
	}
	b.Dependencies = []dependency{uses}
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

// uuid returns a UUID that is made from a checksum, so that the same binary has the same one. RFC 9562, section 5.8: version 8.
func uuid(sum [sha256.Size]byte) string {
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// purl returns the package URL of a module. See https://github.com/package-url/purl-spec, type golang.
func purl(module, version string) string { return "pkg:golang/" + module + "@" + version }
