// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// MissingSchedulers describes the services whose scheduler the kernel does not have. If have is empty, the kernel's
// schedulers are not known, and there are no findings.
func MissingSchedulers(services []configs.Service, have []string) (all []Finding) {
	if len(have) == 0 {
		return nil
	}
	for _, s := range services {
		scheduler := s.Virtuals[0].Scheduler
		if slices.Contains(have, scheduler) {
			continue
		}
		all = append(all, Finding{ID: "scheduler-missing", Severity: Error,
			What: fmt.Sprintf("service %s: this kernel has no scheduler %s", s.Name, scheduler),
			Why:  "the kernel refuses the service, and its clients are not served",
			Mend: fmt.Sprintf("install the module ip_vs_%s, or choose one of %s", scheduler, strings.Join(have, ", "))})
	}
	return all
}
