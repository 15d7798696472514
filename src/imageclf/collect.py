"""imageclf-collect: one table of all runs below a folder, in the terminal, as CSV and as a page."""

from imageclf.configs import command

main = command("commands/collect", __doc__)

if __name__ == "__main__":
    main()
