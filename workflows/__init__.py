"""Models, settings, sampling, results and the command line; users `import maxwell`."""
