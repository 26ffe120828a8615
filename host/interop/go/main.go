// Reads what a nanohost log hands out with Go's own packages for transparency logs, which know
// nothing of nanohost: golang.org/x/mod/sumdb/note and golang.org/x/mod/sumdb/tlog.
//
//	log checkpoint KEY NOTE              a signed head
//	log inclusion  KEY PROOF ENTRY       an entry stands under a signed head
//	log growth     KEY OLD GROWTH        a signed head has another one before it
//	log mirror     KEY DIR               all tiles and entries are those of the signed head
//
// Exit 0: it holds. Exit 1: it does not, with the reason on standard error.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// head opens a signed checkpoint.
func head(text []byte, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// hashes reads the lines of a proof.
func hashes(lines []string) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		all = append(all, hash)
	}
	return all, nil
}

// split parts a proof from the checkpoint under it.
func split(text []byte) ([]string, []byte, error) {
	parts := bytes.SplitN(text, []byte("\n\n"), 2)
	if len(parts) != 2 {
		return nil, nil, errors.New("no checkpoint")
	}
	return strings.Split(string(parts[0]), "\n"), parts[1], nil
}

func inclusion(key string, proof, entry []byte) error {
	lines, checkpoint, err := split(proof)
	if err != nil {
		return err
	}
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	path, err := hashes(lines[2:])
	if err != nil {
		return err
	}
	tree, err := head(checkpoint, key)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func growth(key string, before, proof []byte) error {
	old, err := head(before, key)
	if err != nil {
		return err
	}
	lines, checkpoint, err := split(proof)
	if err != nil {
		return err
	}
	if lines[0] != fmt.Sprintf("old %d", old.N) {
		return errors.New("the proof begins with another head")
	}
	path, err := hashes(lines[1:])
	if err != nil {
		return err
	}
	tree, err := head(checkpoint, key)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, tree.N, tree.Hash, old.N, old.Hash)
}

// files reads tiles from a folder. C2SP's paths do not say the height, which is always 8.
type files struct{ folder string }

func (files) Height() int                           { return 8 }
func (files) SaveTiles(tiles []tlog.Tile, _ [][]byte) {}
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		content, err := os.ReadFile(filepath.Join(f.folder, path))
		if err != nil {
			return nil, err
		}
		all = append(all, content)
	}
	return all, nil
}

func mirror(key, folder string) error {
	checkpoint, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := head(checkpoint, key)
	if err != nil {
		return err
	}
	var indexes []int64
	for n := int64(0); n < tree.N; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	// Checks every tile against the root before it hands out a hash.
	leaves, err := tlog.TileHashReader(tree, files{folder}).ReadHashes(indexes)
	if err != nil {
		return err
	}
	var bundle []byte
	for n := int64(0); n < tree.N; n++ {
		if n%256 == 0 {
			if len(bundle) > 0 {
				return errors.New("a bundle holds more entries than it should")
			}
			tile := tlog.Tile{H: 8, L: 0, N: n / 256, W: int(min(256, tree.N-n))}
			path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
			if bundle, err = os.ReadFile(filepath.Join(folder, path)); err != nil {
				return err
			}
		}
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return errors.New("a bundle ends too early")
		}
		length := 2 + int(binary.BigEndian.Uint16(bundle))
		if tlog.RecordHash(bundle[2:length]) != leaves[n] {
			return fmt.Errorf("entry %d is another than its hash says", n)
		}
		bundle = bundle[length:]
	}
	if len(bundle) > 0 {
		return errors.New("a bundle holds more entries than it should")
	}
	return nil
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("wrong usage")
	}
	if args[0] == "mirror" {
		return mirror(args[1], args[2])
	}
	var contents [][]byte
	for _, path := range args[2:] {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		contents = append(contents, content)
	}
	switch {
	case args[0] == "checkpoint" && len(contents) == 1:
		tree, err := head(contents[0], args[1])
		if err == nil {
			fmt.Println(tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]))
		}
		return err
	case args[0] == "inclusion" && len(contents) == 2:
		return inclusion(args[1], contents[0], contents[1])
	case args[0] == "growth" && len(contents) == 2:
		return growth(args[1], contents[0], contents[1])
	}
	return errors.New("wrong usage")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}
