// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A kind is a type of value in a file: how it is read, written and described.
type kind[T any] struct {
	typ    string    // in words, without article: "integer"
	values string    // the values that it takes, in words; empty if the type says it all
	keys   []KeyInfo // of a table: its keys, their paths counted from the table
	read   func(at place) T
	show   func(T) string // as TOML writes it
}

// A refusal says why a text is not a value, and how to mend it; the hint may be empty.
type refusal struct{ problem, hint string }

func refuse(hint, problem string, args ...any) *refusal {
	return &refusal{fmt.Sprintf(problem, args...), hint}
}

// text is a kind that files give as a string.
func text[T any](typ, values string, parse func(string) (T, *refusal), show func(T) string) kind[T] {
	return kind[T]{
		typ:    typ,
		values: values,
		read: func(at place) (v T) {
			s, ok := at.value.(string)
			if !ok {
				hint := ""
				switch at.value.(type) {
				case int64, float64, bool, time.Time:
					hint = "put it in quotes"
				}
				at.wrongType("string", hint)
				return v
			}
			read, no := parse(s)
			if no != nil {
				at.mistake(no.hint, "%s", no.problem)
				return v
			}
			return read
		},
		show: func(v T) string { return strconv.Quote(show(v)) },
	}
}

// plain is a text that is taken as it is once valid has nothing against it.
func plain(values string, valid func(string) *refusal) kind[string] {
	return text("string", values,
		func(s string) (string, *refusal) { return s, valid(s) },
		func(s string) string { return s })
}

// enum is a text that names one of the values.
func enum[T fmt.Stringer](values ...T) kind[T] {
	return choice(T.String, values)
}

// oneOf is a text that is one of the words.
func oneOf(words ...string) kind[string] {
	return choice(func(s string) string { return s }, words)
}

// choice is a text that names one of the values, by the names that name gives them.
func choice[T any](name func(T) string, values []T) kind[T] {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = name(v)
	}
	return text("string", alternatives(names), func(s string) (v T, _ *refusal) {
		if i := slices.Index(names, s); i >= 0 {
			return values[i], nil
		}
		return v, refuse(didYouMean(s, names), "unknown value %q", abbreviate(s))
	}, name)
}

// boolean is true or false.
func boolean() kind[bool] {
	return kind[bool]{
		typ:    "boolean",
		values: "true or false",
		read: func(at place) bool {
			v, ok := at.value.(bool)
			if !ok {
				at.wrongType("boolean", "write true or false, without quotes")
			}
			return v
		},
		show: strconv.FormatBool,
	}
}

// integer is a whole number from least to most.
func integer[T ~int | ~uint8 | ~uint16 | ~uint32](least, most T) kind[T] {
	values := fmt.Sprintf("%d to %d", least, most)
	return kind[T]{
		typ:    "integer",
		values: values,
		read: func(at place) T {
			v, ok := at.value.(int64)
			switch {
			case !ok:
				hint := ""
				if s, text := at.value.(string); text {
					if _, err := strconv.ParseInt(s, 10, 64); err == nil {
						hint = "leave the quotes away"
					}
				}
				at.wrongType("integer", hint)
				return 0
			case v < int64(least) || v > int64(most):
				at.mistake("", "%d is out of range: want %s", v, values)
				return 0
			}
			return T(v)
		},
		show: func(v T) string { return fmt.Sprint(v) },
	}
}

// unlimited is the most of a list that may be of any length.
const unlimited = math.MaxInt

// list is an array of least to most elements.
func list[T any](element kind[T], least, most int) kind[[]T] {
	tables := element.typ == table
	k := kind[[]T]{typ: "array of " + element.typ + "s", keys: element.keys, values: element.values}
	k.read = func(at place) []T {
		n := 0
		switch v := at.value.(type) {
		case []any:
			n = len(v)
		case []map[string]any:
			n = len(v)
		case map[string]any:
			hint := ""
			if tables {
				hint = "write [[" + at.path.schema() + "]]"
			}
			at.wrongType(k.typ, hint)
			return nil
		default:
			hint := ""
			if s, text := v.(string); text && !tables {
				hint = fmt.Sprintf("write [%q]", abbreviate(s))
			}
			at.wrongType(k.typ, hint)
			return nil
		}
		if n < least || n > most {
			at.mistake("", "has %s: want %s", elements(n), counted(least, most))
			return nil
		}
		values := make([]T, n)
		for i := range values {
			values[i] = element.read(at.index(i))
		}
		return values
	}
	k.show = func(values []T) string {
		shown := make([]string, len(values))
		for i, v := range values {
			shown[i] = element.show(v)
		}
		return "[" + strings.Join(shown, ", ") + "]"
	}
	return k
}

// elements counts in words.
func elements(n int) string {
	if n == 1 {
		return "1 element"
	}
	return fmt.Sprintf("%d elements", n)
}

// counted puts the bounds of a list in words.
func counted(least, most int) string {
	if most == unlimited {
		return fmt.Sprintf("%d or more", least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// stringOr is a kind that is given either as a string, by form, or as the other kind, which is a table or an array.
func stringOr[T any](form, other kind[T]) kind[T] {
	return kind[T]{
		typ:    form.typ + " or " + other.typ,
		values: form.values,
		keys:   other.keys,
		show:   form.show,
		read: func(at place) (v T) {
			_, isTable := at.value.(map[string]any)
			_, isArray := at.value.([]any)
			if _, isString := at.value.(string); isString {
				return form.read(at)
			}
			if isTable && other.typ == table || isArray && other.typ != table {
				return other.read(at)
			}
			at.wrongType(form.typ+" or "+other.typ, "")
			return v
		},
	}
}
