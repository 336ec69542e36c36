// The public face of the package, `import … from 'journal'`: a list of what others may build on, and nothing else.
// Everything inside the project imports the module it means, never this file.
export {};
