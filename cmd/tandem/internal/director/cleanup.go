// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// CleanUp removes what a director has left in the kernel after its end, whatever lvs.on_stop says: the services that it added, its
// connection sync, and its settings. The state directory says what that is. It returns how many services it removed. It is an error
// if a director runs with this state directory.
func CleanUp(ctx context.Context, dir string, log hclog.Logger) (services int, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	held, err := lockFile(dir)
	switch {
	case errors.Is(err, lock.ErrHeld):
		return 0, fmt.Errorf("a director runs with the state directory %s: stop it first, with systemctl stop tandem", dir)
	case err != nil:
		return 0, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	d := &Director{log: log, reader: kernel.New(log.Named("lvs"))}
	saved := d.openState(dir)
	services = saved.table.own.Len()
	_, err = saved.table.Remove(ctx)
	_, ofSysctls := saved.sysctls.Apply(nil)
	errs := []error{err, saved.syncs.Stop(ctx), saved.timeouts.Apply(ctx, lvs.Timeouts{}), ofSysctls, saved.settings.Restore()}
	for i, err := range errs {
		if errors.Is(err, kernel.ErrAbsent) {
			errs[i] = nil // a kernel without IPVS has nothing of it
		}
	}
	return services, errors.Join(errs...)
}
