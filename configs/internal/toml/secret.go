// SPDX-License-Identifier: Apache-2.0

package toml

// Secrets read the texts that are kept outside of the configuration.
type Secrets interface {
	// File returns the text of a file, Credential that of a credential of the service manager. With elsewhere true, a refusal
	// is no mistake, but a warning: the text may be there on another machine.
	File(path string) (text string, no *Refusal, elsewhere bool)
	Credential(name string) (text string, no *Refusal, elsewhere bool)
}

// Secret returns the type of a text that may be kept in a file: { file = "/etc/tandem/password" }, or { credential = "password" }.
// If the text cannot be read on this machine, placeholder counts. A mistake never shows the text.
func Secret(k SchemaType[string], placeholder string) SchemaType[string] {
	plain := k.Read
	if k.Values != "" {
		k.Values += ", "
	}
	k.Values += `or { file = "/PATH" }, or { credential = "NAME" } for a credential of systemd`
	k.Read = func(at Node) string {
		table, ok := at.Value.(map[string]any)
		if !ok {
			return plain(at)
		}
		file, isFile := table["file"].(string)
		credential, isCredential := table["credential"].(string)
		if len(table) != 1 || !isFile && !isCredential {
			at.Mistake(`write { file = "/PATH" } or { credential = "NAME" }`, "want a string, or a table with one of file and credential")
			return placeholder
		}
		if at.report.secrets == nil {
			return placeholder
		}
		read, from, here := at.report.secrets.Credential, credential, at.Key("credential")
		if isFile {
			read, from, here = at.report.secrets.File, file, at.Key("file")
		}
		text, no, elsewhere := read(from)
		switch {
		case no != nil && elsewhere:
			here.Warn(no.Hint, "%s", no.Problem)
			return placeholder
		case no != nil:
			here.Refuse(no)
			return placeholder
		}
		hidden := Node{text, &report{sources: []*source{{}}}, nil}
		if v := plain(hidden); len(hidden.report.mistakes) == 0 {
			return v
		}
		here.Mistake("", "the text in %s is not valid here: want %s", from, k.Values)
		return placeholder
	}
	return k
}
