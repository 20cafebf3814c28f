// files PATH - what Go's own system calls say of a remote directory: raw getdents64, statx, statfs, openat.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
	}
}
func main() {
	top := os.Args[1]
	entries, err := os.ReadDir(top)
	check(err)
	for _, e := range entries {
		fmt.Print(e.Name(), " ", e.Type().IsDir(), ", ")
	}
	fmt.Println()
	text, err := os.ReadFile(filepath.Join(top, "test.txt"))
	check(err)
	fmt.Print(string(text))
	info, err := os.Stat(filepath.Join(top, "sub/deep.txt"))
	check(err)
	fmt.Println(info.Mode(), info.Size(), info.Sys().(*syscall.Stat_t).Uid)
	var s syscall.Statfs_t
	check(syscall.Statfs(top, &s))
	fmt.Printf("%x %d\n", s.Type, s.Blocks)
	f, err := os.Open(filepath.Join(top, "test.txt"))
	check(err)
	check(syscall.Fstatfs(int(f.Fd()), &s))
	fmt.Printf("%x %d\n", s.Type, s.Blocks)
	check(syscall.Statfs(".", &s))
	fmt.Println(s.Type == 0x58465342 && s.Blocks == 1000)
	real, err := filepath.EvalSymlinks(filepath.Join(top, "up/abcdefghijk"))
	check(err)
	fmt.Println(real)
	n := 0
	check(filepath.Walk(top, func(path string, _ os.FileInfo, err error) error {
		n++
		return err
	}))
	fmt.Println(n)
	own, err := os.Executable()
	check(err)
	self, err := os.Open(own)
	check(err)
	fmt.Println(self != nil)
	_, err = os.Stat(filepath.Join(top, "missing"))
	fmt.Println(os.IsNotExist(err))
	check(os.Chdir(top))
	wd, _ := os.Getwd()
	fmt.Println(wd)
	matches, _ := filepath.Glob("*.txt")
	fmt.Println(strings.Join(matches, ","))
}
