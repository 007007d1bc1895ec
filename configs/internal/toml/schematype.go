// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A SchemaType is a type of value in a file: how it is read, written and described.
type SchemaType[T any] struct {
	Name   string // in words, without article: "integer"
	Values string // the values that it takes, in words; empty if the name says it all
	Keys   []Key  // of a table: its keys, with paths counted from the table
	Read   func(at Node) T
	Show   func(T) string // as TOML writes it
}

// Valued returns the type with another description of its values.
func (k SchemaType[T]) Valued(format string, args ...any) SchemaType[T] {
	k.Values = fmt.Sprintf(format, args...)
	return k
}

// A Refusal says why a text is not a valid value, and what to do. The hint may be empty.
type Refusal struct{ Problem, Hint string }

// Refuse returns a Refusal.
func Refuse(hint, problem string, args ...any) *Refusal {
	return &Refusal{fmt.Sprintf(problem, args...), hint}
}

// Text returns the schema type of a type that files give as a string.
func Text[T any](values string, parse func(string) (T, *Refusal), show func(T) string) SchemaType[T] {
	return SchemaType[T]{
		Name:   "string",
		Values: values,
		Read: func(at Node) (v T) {
			s, ok := at.Value.(string)
			if !ok {
				hint := ""
				switch at.Value.(type) {
				case int64, float64, bool, time.Time:
					hint = "put it in quotes"
				}
				at.WrongType("string", hint)
				return v
			}
			read, no := parse(s)
			if no != nil {
				at.Refuse(no)
				return v
			}
			return read
		},
		Show: func(v T) string { return strconv.Quote(show(v)) },
	}
}

// String returns the schema type of a text that is used as it is, if valid does not refuse it.
func String(values string, valid func(string) *Refusal) SchemaType[string] {
	return Text(values, func(s string) (string, *Refusal) { return s, valid(s) }, func(s string) string { return s })
}

// Enum returns the schema type of a text that names one of the values.
func Enum[T fmt.Stringer](values ...T) SchemaType[T] {
	return Choice(T.String, values)
}

// OneOf returns the schema type of a text that is one of the words.
func OneOf(words ...string) SchemaType[string] {
	return Choice(func(s string) string { return s }, words)
}

// Choice returns the schema type of a text that names one of the values. The function gives the name of a value.
func Choice[T any](name func(T) string, values []T) SchemaType[T] {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = name(v)
	}
	return Text(Alternatives(names), func(s string) (v T, _ *Refusal) {
		if i := slices.Index(names, s); i >= 0 {
			return values[i], nil
		}
		hint := Suggest(s, names)
		if hint == "" {
			hint = "want " + Alternatives(names)
		}
		return v, Refuse(hint, "unknown value %q", Abbreviate(s))
	}, name)
}

// Synonyms refuses words that other programs have for a value, and suggests the value.
func (t SchemaType[T]) Synonyms(words map[string]T) SchemaType[T] {
	read := t.Read
	t.Read = func(at Node) T {
		word, _ := at.Value.(string)
		if v, ok := words[word]; ok {
			at.Mistake("did you mean `"+strings.Trim(t.Show(v), `"`)+"`?", "unknown value %q", word)
			var none T
			return none
		}
		return read(at)
	}
	return t
}

// Boolean returns the schema type of true or false.
func Boolean() SchemaType[bool] {
	return SchemaType[bool]{
		Name:   "boolean",
		Values: "true or false",
		Read: func(at Node) bool {
			v, ok := at.Value.(bool)
			if !ok {
				at.WrongType("boolean", "write true or false, without quotes")
			}
			return v
		},
		Show: strconv.FormatBool,
	}
}

// Integer returns the schema type of a whole number from least to most.
func Integer[T ~int | ~uint8 | ~uint16 | ~uint32](least, most T) SchemaType[T] {
	values := fmt.Sprintf("%d to %d", least, most)
	return SchemaType[T]{
		Name:   "integer",
		Values: values,
		Read: func(at Node) T {
			v, ok := at.Value.(int64)
			switch {
			case !ok:
				hint := ""
				if s, text := at.Value.(string); text {
					if _, err := strconv.ParseInt(s, 10, 64); err == nil {
						hint = "remove the quotes"
					}
				}
				at.WrongType("integer", hint)
				return 0
			case v < int64(least) || v > int64(most):
				at.Mistake("", "%d is out of range: want %s", v, values)
				return 0
			}
			return T(v)
		},
		Show: func(v T) string { return fmt.Sprint(v) },
	}
}

// Number returns the schema type of a number from least to most, with or without a fraction.
func Number(least, most float64) SchemaType[float64] {
	values := fmt.Sprintf("%v to %v", least, most)
	return SchemaType[float64]{
		Name:   "number",
		Values: values,
		Read: func(at Node) float64 {
			v, ok := at.Value.(float64)
			if n, whole := at.Value.(int64); whole {
				v, ok = float64(n), true
			}
			switch {
			case !ok:
				at.WrongType("number", "")
				return 0
			case !(v >= least && v <= most): // also NaN
				at.Mistake("", "%v is out of range: want %s", at.Value, values)
				return 0
			}
			return v
		},
		Show: func(v float64) string { return fmt.Sprintf("%.1f", v) },
	}
}

// Unlimited is the maximum length of a list that may have any length.
const Unlimited = math.MaxInt

// List returns the schema type of an array of least to most elements.
func List[T any](element SchemaType[T], least, most int) SchemaType[[]T] {
	tables := element.Name == TableName
	k := SchemaType[[]T]{Name: "array of " + element.Name + "s", Keys: element.Keys, Values: element.Values}
	k.Read = func(at Node) []T {
		n, ok := at.Len()
		if !ok {
			hint := ""
			switch v := at.Value.(type) {
			case map[string]any:
				if tables {
					hint = "write [[" + at.path.schema() + "]]"
				}
			case string:
				if !tables {
					hint = fmt.Sprintf("write [%q]", Abbreviate(v))
				}
			}
			at.WrongType(k.Name, hint)
			return nil
		}
		if n < least || n > most {
			at.Mistake("", "has %s: want %s", elements(n), lengths(least, most))
			return nil
		}
		values := make([]T, n)
		for i := range values {
			values[i] = element.Read(at.Index(i))
		}
		return values
	}
	k.Show = func(values []T) string {
		shown := make([]string, len(values))
		for i, v := range values {
			shown[i] = element.Show(v)
		}
		return "[" + strings.Join(shown, ", ") + "]"
	}
	return k
}

func elements(n int) string {
	if n == 1 {
		return "1 element"
	}
	return fmt.Sprintf("%d elements", n)
}

func lengths(least, most int) string {
	if most == Unlimited {
		return fmt.Sprintf("%d or more", least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// StringOr returns the schema type of a value that is given either as a string, by form, or as the other type, which is a table
// or an array.
func StringOr[T any](form, other SchemaType[T]) SchemaType[T] {
	name := form.Name + " or " + other.Name
	return SchemaType[T]{
		Name:   name,
		Values: form.Values,
		Keys:   other.Keys,
		Show:   form.Show,
		Read: func(at Node) (v T) {
			switch at.Value.(type) {
			case string:
				return form.Read(at)
			case map[string]any:
				if other.Name == TableName {
					return other.Read(at)
				}
			case []any:
				if other.Name != TableName {
					return other.Read(at)
				}
			}
			at.WrongType(name, "")
			return v
		},
	}
}
