// Verifies a .tlog-proof and the tiles of a pack with golang.org/x/mod: verify PACK VKEY INDEX
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Println("REFUSED:", err)
		os.Exit(1)
	}
}

type tiles string

func (t tiles) Height() int                     { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) (found [][]byte, err error) {
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		content, err := os.ReadFile(filepath.Join(string(t), path))
		if err != nil {
			return nil, err
		}
		found = append(found, content)
	}
	return found, nil
}

type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) (found []tlog.Hash, err error) {
	for _, at := range indexes {
		found = append(found, s[at])
	}
	return found, nil
}

func hash(line string) (h tlog.Hash) {
	raw, err := base64.StdEncoding.DecodeString(line)
	must(err)
	copy(h[:], raw)
	return h
}

func main() {
	content, err := os.ReadFile(filepath.Join(os.Args[1], "proofs", os.Args[3]+".tlog-proof"))
	must(err)
	parts := strings.SplitN(string(content), "\n\n", 2)
	key, err := note.NewVerifier(os.Args[2])
	must(err)
	opened, err := note.Open([]byte(parts[1]), note.VerifierList(key))
	must(err)
	said := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(said[1], 10, 64)
	must(err)
	index, err := strconv.ParseInt(os.Args[3], 10, 64)
	must(err)
	tree := tlog.Tree{N: size, Hash: hash(said[2])}
	reader := tlog.TileHashReader(tree, tiles(os.Args[1]))
	leaves := []int64{}
	for at := int64(0); at < size; at++ {
		leaves = append(leaves, tlog.StoredHashIndex(0, at))
	}
	hashes, err := reader.ReadHashes(leaves)
	must(err)
	// The reader above need not have compared every full tile with its parent (it skips as many tiles as the tree's subtrees
	// share), so the tree is built anew from the leaves, and every tile of it is compared with the pack's.
	stored := storage{}
	for at := int64(0); at < size; at++ {
		more, err := tlog.StoredHashesForRecordHash(at, hashes[at], stored)
		must(err)
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(size, stored)
	must(err)
	if root != tree.Hash {
		must(fmt.Errorf("the leaves do not give the root"))
	}
	for _, tile := range tlog.NewTiles(8, 0, size) {
		if last := size>>uint(8*tile.L) - tile.N*256; int64(tile.W) < last && tile.W < 256 {
			continue // as it was when the tree was smaller
		}
		want, err := tlog.ReadTileData(tile, stored)
		must(err)
		have, err := tiles(os.Args[1]).ReadTiles([]tlog.Tile{tile})
		if err != nil || !bytes.Equal(have[0], want) {
			must(fmt.Errorf("%s is not the tree's", tile.Path()))
		}
	}
	proof := tlog.RecordProof{}
	for _, line := range strings.Split(parts[0], "\n")[2:] {
		proof = append(proof, hash(line))
	}
	must(tlog.CheckRecord(proof, size, tree.Hash, index, hashes[index]))
	entries, err := os.ReadFile(filepath.Join(os.Args[1], "entries.jsonl"))
	must(err)
	start := fmt.Sprintf("{\"index\":%d,\"entry\":", index)
	for _, line := range strings.Split(string(entries), "\n") {
		if strings.HasPrefix(line, start) && tlog.RecordHash([]byte(line[len(start):len(line)-1])) == hashes[index] {
			fmt.Println("VERIFIED", size)
			return
		}
	}
	must(fmt.Errorf("the entry is not the leaf"))
}
