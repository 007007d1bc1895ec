// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// A licensed is a module in the binary, with its licence.
type licensed struct {
	module, version string
	licence         string // its SPDX identifier; of several they are joined with AND
	texts           []licenceText
}

// A licenceText is a file with a licence or a notice.
type licenceText struct {
	name string // below the module's folder
	text []byte
}

// allowed are the licences that a module of the binary may have. Each lets everyone pass the binary on under Apache-2.0.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// standardLibrary is the module path of Go's standard library in a bill of materials.
const standardLibrary = "std"

// licencesOf returns the modules in a program for Linux, with their licences, in the order of their names. It is an error if a module
// has no licence or one that is not allowed.
func licencesOf(program string, architectures []string) ([]licensed, error) {
	dirs := make(map[string]map[string]bool) // of the packages, by module
	modules := make(map[string]goModule)
	for _, arch := range architectures {
		packages, err := dependencies(program, arch)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			m := p.Module
			switch {
			case p.Standard:
				m = &goModule{Path: standardLibrary, Version: strings.TrimPrefix(runtime.Version(), "go"), Dir: p.Root}
				p.Dir = m.Dir // what the standard library has taken from others is under the same licence
			case m == nil || m.Main:
				continue
			}
			modules[m.Path] = *m
			if dirs[m.Path] == nil {
				dirs[m.Path] = make(map[string]bool)
			}
			for dir := p.Dir; len(dir) >= len(m.Dir); dir = filepath.Dir(dir) {
				dirs[m.Path][dir] = true
			}
		}
	}
	var all []licensed
	var errs []error
	for name, m := range modules {
		l := licensed{module: name, version: m.Version}
		for dir := range dirs[name] {
			errs = append(errs, l.read(m.Dir, dir))
		}
		slices.SortFunc(l.texts, func(a, b licenceText) int { return cmp.Compare(a.name, b.name) })
		errs = append(errs, l.judge())
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b licensed) int { return cmp.Compare(a.module, b.module) })
	return all, errors.Join(errs...)
}

type goModule struct {
	Path, Version, Dir string
	Main               bool
}

type goPackage struct {
	Dir      string
	Root     string // of the standard library
	Standard bool
	Module   *goModule
}

// dependencies returns the packages of a program.
func dependencies(program, arch string) ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Root,Standard,Module", program)
	cmd.Env = append(os.Environ(), goEnvironment(arch)...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps %s: %w", program, err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list -deps %s: %w", program, err)
		}
		all = append(all, p)
	}
}

var (
	licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|patents|authors)([.-].*)?$`)
)

// read adds the licences and notices in a folder of the module.
func (l *licensed) read(module, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || !licenceName.MatchString(e.Name()) && !noticeName.MatchString(e.Name()) || path.Ext(e.Name()) == ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		name, err := filepath.Rel(module, filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		l.texts = append(l.texts, licenceText{name, text})
	}
	return nil
}

// judge identifies the licence, and returns an error if there is none or it is not allowed.
func (l *licensed) judge() error {
	var found []string
	for _, t := range l.texts {
		if !licenceName.MatchString(path.Base(t.name)) {
			continue
		}
		id := identify(t.text)
		if !slices.Contains(allowed, id) {
			return fmt.Errorf("%s %s has %s in %s: allowed are %s; do without the module, or decide about the list in configs/package/licences.go",
				l.module, l.version, cmp.Or(id, "a licence that is not known"), t.name, strings.Join(allowed, ", "))
		}
		found = append(found, id)
	}
	if len(found) == 0 {
		return fmt.Errorf("%s %s has no licence file: nobody may pass it on; do without the module", l.module, l.version)
	}
	slices.Sort(found)
	l.licence = strings.Join(slices.Compact(found), " AND ")
	return nil
}

// marks are sentences of licences. One that must not be in a binary comes before the harmless ones: a file with both counts as it.
var marks = []struct{ sentence, id string }{
	{"commons clause", "Commons-Clause"},
	{"business source license", "BUSL-1.1"},
	{"server side public license", "SSPL-1.0"},
	{"gnu affero general public license", "AGPL"},
	{"gnu lesser general public license", "LGPL"},
	{"gnu general public license", "GPL"},
	{"mozilla public license", "MPL"},
	{"eclipse public license", "EPL"},
	{"creative commons", "CC"},
	{"apache license version 2.0, january 2004", "Apache-2.0"},
	{"permission is hereby granted, free of charge, to any person obtaining a copy of this software", "MIT"},
	{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted", "ISC"},
	{"permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted", "ISC"},
}

var blanks = regexp.MustCompile(`[\s#*>_]+`)

// identify returns the SPDX identifier of a licence. It is empty if the licence is not known.
func identify(text []byte) string {
	plain := strings.ToLower(blanks.ReplaceAllString(string(text), " "))
	for _, m := range marks {
		if strings.Contains(plain, m.sentence) {
			return m.id
		}
	}
	const permission = "redistribution and use in source and binary forms, with or without modification, are permitted"
	const endorse = "to endorse or promote products"
	switch {
	case !strings.Contains(plain, permission):
		return ""
	case strings.Contains(plain, "all advertising materials"):
		return "BSD-4-Clause"
	case strings.Contains(plain, endorse):
		return "BSD-3-Clause"
	}
	return "BSD-2-Clause"
}

// licenceTexts returns the licences and notices of all modules as one text. A text that several modules have is there once.
func licenceTexts(all []licensed) []byte {
	var b bytes.Buffer
	b.WriteString("tandem is under the Apache License 2.0. Its program contains these modules of others:\n\n")
	for _, l := range all {
		fmt.Fprintf(&b, "  %s %s: %s\n", l.module, l.version, l.licence)
	}
	var texts [][]byte
	users := make(map[string][]string)
	for _, l := range all {
		for _, t := range l.texts {
			if users[string(t.text)] == nil {
				texts = append(texts, t.text)
			}
			users[string(t.text)] = append(users[string(t.text)], l.module+"/"+t.name)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(users[string(text)], "\n"), bytes.TrimSpace(text))
	}
	return b.Bytes()
}
