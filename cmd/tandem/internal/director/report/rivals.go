// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
)

// rivalWarnings returns sentences about other machines that claim our addresses.
func rivalWarnings(report message.Report, services []configs.Service) []string {
	var all []string
	for _, i := range report.Interfaces {
		for _, r := range i.Rivals {
			claim := diagnosis.Claim{Interface: i.Name, Address: r.Address, Hardware: r.Hardware, Neighbours: r.Neighbours, How: r.How}
			all = append(all, diagnosis.Claimed(claim, services).Advice())
		}
	}
	return all
}
