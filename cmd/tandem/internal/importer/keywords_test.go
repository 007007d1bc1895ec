// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestEachKeywordHasAHandler: what the table calls translated is translated, and nothing else is.
func TestEachKeywordHasAHandler(t *testing.T) {
	handled := map[string][]string{
		"":                   slices.Collect(maps.Keys(topHandlers)),
		"global_defs":        slices.Collect(maps.Keys(globalHandlers)),
		"vrrp_instance":      slices.Collect(maps.Keys(instanceHandlers)),
		"authentication":     slices.Collect(maps.Keys(passwordHandlers)),
		"auth_hmac":          slices.Collect(maps.Keys(signingHandlers)),
		"vrrp_sync_group":    slices.Collect(maps.Keys(groupHandlers)),
		"vrrp_script":        slices.Collect(maps.Keys(scriptHandlers)),
		"track_file":         slices.Collect(maps.Keys(fileHandlers)),
		"vrrp_track_process": slices.Collect(maps.Keys(processHandlers)),
		"garp_group":         slices.Collect(maps.Keys(spacingHandlers)),
		"virtual_server":     slices.Collect(maps.Keys(serviceHandlers)),
		"real_server":        slices.Collect(maps.Keys(serverHandlers)),
		"url":                slices.Collect(maps.Keys(pageHandlers)),
		"SSL":                slices.Collect(maps.Keys(tlsHandlers)),
	}
	options := []string{"address", "route", "rule", "peer", "track", "sync daemon", "timeouts", "virtual_server_group"}
	rows := make(map[string][]string)
	for _, k := range keywords {
		if k.fate == translated && !slices.Contains(options, k.block) {
			rows[k.block] = append(rows[k.block], k.name)
		}
	}
	for _, block := range []string{"checker", "HTTP_GET", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK", "UDP_CHECK"} {
		for _, name := range rows[block] {
			if checkerHandlers[name] == nil {
				t.Errorf("%s of %s has no handler", name, block)
			}
		}
		delete(rows, block)
	}
	for _, block := range slices.Sorted(maps.Keys(rows)) {
		got, want := slices.Sorted(slices.Values(handled[block])), slices.Sorted(slices.Values(rows[block]))
		if !slices.Equal(got, want) {
			t.Errorf("%s: the handlers are %v, the table has %v", block, got, want)
		}
	}
}

// TestKeywordsAreRowsOnce: no keyword is there twice, and each row says what to do.
func TestKeywordsAreRowsOnce(t *testing.T) {
	if len(byKeyword) != len(keywords) {
		t.Errorf("%d rows for %d keywords", len(keywords), len(byKeyword))
	}
	for _, k := range keywords {
		if k.text == "" || k.fate == 0 || strings.HasPrefix(byKeyword[[2]string{k.block, k.name}].text, "as ") && k.fate == missing {
			t.Errorf("%s of %q: says nothing: %q", k.name, k.block, k.text)
		}
	}
}
