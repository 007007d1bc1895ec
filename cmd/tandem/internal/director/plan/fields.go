// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A field is a setting that differs.
type field struct{ key, was, is string }

// String returns "priority 150 → 90". The values of secrets are not shown.
func (f field) String() string {
	if secret(f.key) {
		return f.key + " changed"
	}
	if f.was == "" { // f.is says it
		return strings.TrimSpace(f.key + " " + f.is)
	}
	return fmt.Sprintf("%s %s → %s", f.key, f.was, f.is)
}

// secret reports whether a key's value must not be shown. The path of a URL is often a secret itself, and what a check sends may
// have a password.
func secret(key string) bool {
	parts := []string{"auth", "password", "secret", "headers", "body", "url", "send", "steps"}
	return slices.ContainsFunc(parts, func(s string) bool { return strings.Contains(key, s) })
}

// keys are the keys of fields whose name in Go differs from that in the file.
var keys = map[string]string{
	"vip_labels": "label", "password": "auth_pass", "no_prefix_route": "noprefixroute",
	"tls.on": "tls", "tls.name": "tls_name", "tls.ca_file": "tls_ca", "tls.cert_file": "tls_cert", "tls.key_file": "tls_key",
	"peer.tls.cert_file": "peer.tls_cert", "peer.tls.key_file": "peer.tls_key", "peer.tls.ca_file": "peer.tls_ca", "peer.tls.name": "peer.tls_name",
	"tls.minimum": "tls_version", "tls.insecure": "tls_verify", "flap.changes": "flap_changes", "flap.window": "flap_window",
	"flap.hold": "flap_hold", "content.contains": "contains", "content.matches": "matches", "content.sha256": "sha256",
	"query.name": "query", "query.type": "query_type", "query.answer": "answer", "query.tcp": "over_tcp",
	"service": "grpc_service", "mark": "fwmark", "pass": "check_pass", "hysteresis": "quorum_hysteresis",
	"outlier": "outlier.action", "probe_mark": "probe_fwmark",
	"device": "bind_if", "radius.user": "username", "radius.password": "password", "radius.secret": "secret",
	"forbid": "expect_not", "fields": "expect_headers", "content.lacks": "not_contains", "proxy": "proxy_protocol",
	"witnessed": "witness", "fenced": "before",
}

// negated are the keys whose value in the file is the opposite of the field.
var negated = map[string]bool{"tls_verify": true}

// differing returns the exported fields of two values of the same struct type that differ, except those that are skipped by
// their names in Go.
func differing(was, is any, skip ...string) []field {
	other := func(was, is reflect.Value) bool { return !reflect.DeepEqual(was.Interface(), is.Interface()) }
	return compare("", reflect.ValueOf(was), reflect.ValueOf(is), skip, other)
}

// compare returns the exported fields of two structs that are told.
func compare(prefix string, was, is reflect.Value, skip []string, told func(was, is reflect.Value) bool) (all []field) {
	for i := range was.NumField() {
		f := was.Type().Field(i)
		if !f.IsExported() || slices.Contains(skip, f.Name) || !told(was.Field(i), is.Field(i)) {
			continue
		}
		key := prefix + keyOf(f)
		if f.Type.Kind() == reflect.Struct && !isValue(f.Type) {
			if f.Anonymous {
				key = strings.TrimSuffix(prefix, ".")
			}
			nested := key + "."
			if key == "" {
				nested = ""
			}
			all = append(all, compare(nested, was.Field(i), is.Field(i), skip, told)...)
			continue
		}
		if name, ok := keys[key]; ok {
			key = name
		}
		show := text
		if key == "tls_version" {
			show = tlsVersion
		}
		d := field{key, show(was.Field(i).Interface()), show(is.Field(i).Interface())}
		if negated[key] {
			d.was, d.is = d.is, d.was
		}
		all = append(all, d)
	}
	return all
}

// isValue reports whether a struct is a value that is written as a whole.
func isValue(t reflect.Type) bool {
	return t == reflect.TypeFor[netip.Addr]() || t == reflect.TypeFor[netip.Prefix]() || t == reflect.TypeFor[netip.AddrPort]() || t == reflect.TypeFor[time.Time]()
}

// keyOf returns the key of a field: that of its JSON form, or its name in snake case.
func keyOf(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
		return name
	}
	return snake(f.Name)
}

// snake writes FastInterval as fast_interval, and CAFile as ca_file.
func snake(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		if i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// tlsVersion writes the number of a version in the protocol as the file has it.
func tlsVersion(v any) string {
	if n, ok := v.(uint16); ok && n >= healthcheck.TLS10 {
		return fmt.Sprintf("1.%d", n-healthcheck.TLS10)
	}
	return "none"
}

// text writes a value as people read it.
func text(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return short(v)
	case string:
		return strconv.Quote(v)
	case interface {
		IsValid() bool
		String() string
	}: // an address, a prefix, an address with a port
		if !v.IsValid() {
			return "none"
		}
		return v.String()
	case fmt.Stringer:
		if is := reflect.ValueOf(v); is.CanUint() && is.IsZero() {
			return "none" // the values of names begin with 1
		}
		return v.String()
	}
	if labels, ok := v.(map[netip.Addr]string); ok {
		parts := make([]string, 0, len(labels))
		for _, addr := range slices.SortedFunc(maps.Keys(labels), netip.Addr.Compare) {
			parts = append(parts, fmt.Sprintf("%s %s", addr, labels[addr]))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if list := reflect.ValueOf(v); list.Kind() == reflect.Slice {
		parts := make([]string, list.Len())
		for i := range parts {
			parts[i] = text(list.Index(i).Interface())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v)
}

// written joins the fields.
func written(fields []field) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.String()
	}
	return strings.Join(parts, ", ")
}
