"""imageclf-batch-size: find the largest batch that fits into memory."""

from imageclf.configs import command

main = command("batch_size", __doc__)

if __name__ == "__main__":
    main()
