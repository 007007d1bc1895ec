// SPDX-License-Identifier: Apache-2.0

package report

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A selector is a metric in an expression of PromQL, with the labels that it asks for.
type selector struct {
	metric   string
	matchers []matcher
}

// A matcher is one condition on a label.
type matcher struct{ label, op, value string }

var (
	tokens     = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\$?[a-zA-Z_:][a-zA-Z0-9_:]*|\[[^\]]*\]|=~|!~|!=|==|>=|<=|[0-9.]+|\S`)
	identifier = regexp.MustCompile(`^[a-zA-Z_:]`)
	// words are the words of PromQL that stand where a metric could.
	words = []string{"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
)

// parseExpr returns the metrics of an expression, and the labels that it groups or joins by. It understands what the shipped files
// use. promtool checks the rest of the syntax.
func parseExpr(expr string) (metrics []selector, labels []string) {
	all := tokens.FindAllString(expr, -1)
	at := func(i int) string {
		if i < len(all) {
			return all[i]
		}
		return ""
	}
	for i := 0; i < len(all); i++ {
		switch word := all[i]; {
		case !identifier.MatchString(word):
		case slices.Contains(words, word):
			if at(i+1) == "(" && word != "and" && word != "or" && word != "unless" {
				for i += 2; i < len(all) && all[i] != ")"; i++ {
					if all[i] != "," {
						labels = append(labels, all[i])
					}
				}
			}
		case at(i+1) == "(" || slices.Contains([]string{"by", "without"}, at(i+1)): // a function or an aggregation
		default:
			s := selector{metric: word}
			if at(i+1) == "{" {
				for i += 2; i < len(all) && all[i] != "}"; i++ {
					if all[i] != "," {
						s.matchers = append(s.matchers, matcher{all[i], at(i + 1), strings.Trim(at(i+2), `"`)})
						i += 2
					}
				}
			}
			metrics = append(metrics, s)
		}
	}
	return metrics, labels
}

func TestParseExpr(t *testing.T) {
	const expr = `histogram_quantile(0.99, sum by (le, pair) (rate(a_bucket{x="1", pair=~"$pair"}[5m]))) > 0.1 or ` +
		`(count(b == 1) without (server)) and on (pair) c{y!="z, }"} unless d`
	metrics, labels := parseExpr(expr)
	want := []selector{{"a_bucket", []matcher{{"x", "=", "1"}, {"pair", "=~", "$pair"}}}, {"b", nil}, {"c", []matcher{{"y", "!=", "z, }"}}}, {"d", nil}}
	if !slices.EqualFunc(metrics, want, func(a, b selector) bool { return a.metric == b.metric && slices.Equal(a.matchers, b.matchers) }) {
		t.Errorf("got %v, want %v", metrics, want)
	}
	if want := []string{"le", "pair", "server", "pair"}; !slices.Equal(labels, want) {
		t.Errorf("got the labels %v, want %v", labels, want)
	}
}

// targetLabels are the labels that Prometheus adds: job and instance, and pair of the shipped scrape.yml.
var targetLabels = []string{"job", "instance", "pair"}

// mistakes returns what is wrong with an expression and with the text that shows its labels: a metric that no director exports, a
// label that it does not have, a value that a label never has.
func mistakes(all map[string]series, expr, text string) (wrong []string) {
	metrics, labels := parseExpr(expr)
	if len(metrics) == 0 {
		return []string{"has no metric"}
	}
	known := slices.Clone(targetLabels)
	for _, s := range metrics {
		is, ok := all[s.metric]
		if !ok {
			wrong = append(wrong, s.metric+" is not exported")
			continue
		}
		for label := range is {
			known = append(known, label)
		}
		for _, m := range s.matchers {
			if slices.Contains(targetLabels, m.label) {
				continue
			}
			if is[m.label] == nil {
				wrong = append(wrong, s.metric+" has no label "+m.label)
			} else if !matchesAny(m, is[m.label]) {
				wrong = append(wrong, s.metric+" never has "+m.label+m.op+m.value)
			}
		}
	}
	for _, l := range shownLabels.FindAllStringSubmatch(text, -1) {
		labels = append(labels, l[1])
	}
	for _, l := range labels {
		if !slices.Contains(known, l) {
			wrong = append(wrong, "the label "+l+" does not exist")
		}
	}
	return wrong
}

// shownLabels finds the labels in a template: {{ $labels.router }} of an alert, {{router}} of a panel.
var shownLabels = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)

func matchesAny(m matcher, values map[string]bool) bool {
	if !strings.HasPrefix(m.op, "=") {
		return true
	}
	pattern := regexp.QuoteMeta(m.value)
	if m.op == "=~" {
		pattern = m.value
	}
	is := regexp.MustCompile("^(?:" + pattern + ")$")
	for v := range values {
		if is.MatchString(v) {
			return true
		}
	}
	return false
}

// TestMistakes: what is wrong is found.
func TestMistakes(t *testing.T) {
	all := map[string]series{"a": {"state": {"master": true}, "router": {"web": true}}}
	for _, tt := range []struct{ expr, text, want string }{
		{`sum by (pair, router) (a{state="master"}) > 1`, "{{ $labels.router }} {{pair}} {{ $value }}", ""},
		{`b == 1`, "", "b is not exported"},
		{`a{vrid="1"}`, "", "a has no label vrid"},
		{`a{state="MASTER"}`, "", "a never has state=MASTER"},
		{`a{state=~"back.*|mas.*"}`, "", ""},
		{`sum by (vrid) (a)`, "", "the label vrid does not exist"},
		{`a`, "{{ $labels.vrid }}", "the label vrid does not exist"},
		{`a`, "{{vrid}}", "the label vrid does not exist"},
		{`vector(1)`, "", "has no metric"},
	} {
		if got := strings.Join(mistakes(all, tt.expr, tt.text), "; "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.expr, got, tt.want)
		}
	}
}
