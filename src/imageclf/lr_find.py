"""imageclf-lr-find: search the learning rate of one phase, without training."""

from imageclf.configs import command

main = command("lr_find", __doc__)

if __name__ == "__main__":
    main()
