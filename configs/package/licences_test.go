// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEachModuleHasAnAllowedLicence: all modules of the binary are listed, and none has a licence that is not allowed.
func TestEachModuleHasAnAllowedLicence(t *testing.T) {
	all, err := licencesOf(program, []string{"amd64", "arm64"})
	if err != nil {
		t.Error(err)
	}
	text := string(licenceTexts(all))
	for _, module := range []string{"github.com/moby/ipvs", "github.com/spf13/cobra", "golang.org/x/sys", standardLibrary} {
		if !slices.ContainsFunc(all, func(l licensed) bool { return l.module == module }) || !strings.Contains(text, "\n"+module+"/LICENSE") {
			t.Errorf("%s is not listed", module)
		}
	}
	if len(all) < 20 || strings.Count(text, "Apache License") < 1 {
		t.Errorf("found %d modules: too few to be all", len(all))
	}
}

// TestIdentify: a licence is known by its sentences, whatever its lines, and one that is not allowed is not overlooked.
func TestIdentify(t *testing.T) {
	const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy of\nthis software"
	const bsd = "Redistribution and use in source and binary forms, with or without\n * modification, are permitted provided"
	for _, c := range []struct {
		text, want string
		allowed    bool
	}{
		{mit, "MIT", true},
		{"                Apache License\n          Version 2.0, January 2004\n", "Apache-2.0", true},
		{bsd, "BSD-2-Clause", true},
		{bsd + " … to endorse or promote products …", "BSD-3-Clause", true},
		{bsd + " 3. All advertising materials mentioning …", "BSD-4-Clause", false},
		{"Permission to use, copy, modify, and distribute this software for any\npurpose with or without fee is hereby granted", "ISC", true},
		{"\"Commons Clause\" License Condition v1.0\n" + mit, "Commons-Clause", false},
		{"GNU GENERAL PUBLIC LICENSE\nVersion 3", "GPL", false},
		{"GNU LESSER GENERAL PUBLIC LICENSE", "LGPL", false},
		{"Mozilla Public License, version 2.0", "MPL", false},
		{"All rights reserved.", "", false},
		{"", "", false},
	} {
		l := licensed{module: "example.com/m", version: "v1.0.0", texts: []licenceText{{"LICENSE", []byte(c.text)}}}
		if got := identify([]byte(c.text)); got != c.want || (l.judge() == nil) != c.allowed {
			t.Errorf("%q is %q, %v, want %q", c.text, got, l.judge(), c.want)
		}
	}
	none := licensed{module: "example.com/m", version: "v1.0.0", texts: []licenceText{{"NOTICE", []byte(mit)}}}
	if err := none.judge(); err == nil || !strings.Contains(err.Error(), "has no licence file") {
		t.Errorf("without a licence file: %v", err)
	}
	both := licensed{texts: []licenceText{{"LICENSE", []byte(mit)}, {"a/LICENSE", []byte(bsd)}, {"b/LICENSE", []byte(mit)}}}
	if err := both.judge(); err != nil || both.licence != "BSD-2-Clause AND MIT" {
		t.Errorf("two licences: %s (%v)", both.licence, err)
	}
}

// TestLicenceFilesAreFound, whatever their names, and no other file.
func TestLicenceFilesAreFound(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"LICENSE.md", "license", "COPYING", "NOTICE", "PATENTS", "licence.go", "README", "LICENSES.csv"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var l licensed
	if err := l.read(filepath.Dir(dir), dir); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, text := range l.texts {
		found = append(found, filepath.Base(text.name))
	}
	if want := []string{"COPYING", "LICENSE.md", "NOTICE", "PATENTS", "license"}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

// TestBillOfMaterials: testdata/sbom.json is the one of two modules and the standard library.
func TestBillOfMaterials(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "github.com/tandem-lvs/tandem"},
		Deps: []*debug.Module{
			{Path: "example.com/b", Version: "v1.0.0", Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
			{Path: "example.com/a", Version: "v2.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.1"}},
		},
	}
	licences := []licensed{
		{module: "example.com/b", licence: "MIT"}, {module: "example.com/fork", licence: "Apache-2.0 AND MIT"}, {module: standardLibrary, licence: "BSD-3-Clause"},
	}
	text, err := billOfMaterials(info, "v1.0.0", time.Unix(1_800_000_000, 0), []byte("binary"), licences)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sbom.json", string(text))
	if _, err := billOfMaterials(info, "v1.0.0", time.Unix(0, 0), nil, licences[1:]); err == nil || !strings.Contains(err.Error(), "example.com/b v1.0.0, but no licence") {
		t.Errorf("a module without a licence: %v", err)
	}
}
