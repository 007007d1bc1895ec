// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
)

// rivalWarnings name the machines that claim our addresses.
func rivalWarnings(report message.Report, services []configs.Service) []string {
	var all []string
	for _, i := range report.Interfaces {
		for _, r := range i.Rivals {
			all = append(all, diagnosis.Claimed(diagnosis.Claim{
				Interface: i.Name, Address: r.Address, Hardware: r.Hardware, Neighbours: r.Neighbours, How: r.How,
			}, services).Advice())
		}
	}
	return all
}
