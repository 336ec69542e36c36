// The public face of the format, `import … from 'journal/format'`: reading and writing journal bytes without Redis,
// sockets or disks.
export {};
