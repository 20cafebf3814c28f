// modes DIRECTORY - makes files with odd modes by Go's own system calls, and prints the modes they got.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	syscall.Umask(0)
	for _, mode := range []os.FileMode{0640, 0604, 0431, 0755} {
		path := filepath.Join(os.Args[1], fmt.Sprintf("go-%04o", mode))
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_EXCL, mode)
		if err != nil {
			fmt.Println(err)
			continue
		}
		info, err := file.Stat()
		fmt.Printf("%04o %04o %v\n", mode, info.Mode().Perm(), err)
		file.Close()
	}
}
