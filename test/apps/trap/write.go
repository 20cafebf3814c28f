// write.go - writes, reads back, lists and removes below a directory.
package main

import (
	"fmt"
	"io"
	"os"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
func main() {
	dir := os.Args[1]
	f, err := os.Create(dir + "/f")
	must(err)
	_, err = f.WriteString("hello world")
	must(err)
	_, err = f.Seek(6, io.SeekStart)
	must(err)
	rest, err := io.ReadAll(f)
	must(err)
	must(f.Sync())
	must(f.Close())
	all, err := os.ReadFile(dir + "/f")
	must(err)
	fmt.Printf("read %q of %q\n", rest, all)
	must(os.Mkdir(dir+"/d", 0o755))
	entries, err := os.ReadDir(dir)
	must(err)
	fmt.Print("dir")
	for _, e := range entries {
		if e.Name() == "f" {
			fmt.Print(" file")
		}
		fmt.Print(" ", e.Name(), " ", e.IsDir())
	}
	fmt.Println()
	must(os.Remove(dir + "/d"))
	must(os.Remove(dir + "/f"))
	entries, err = os.ReadDir(dir)
	must(err)
	fmt.Print("left")
	for _, e := range entries {
		fmt.Print(" ", e.Name())
	}
	fmt.Println()
}
