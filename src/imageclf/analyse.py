"""imageclf-analyse: what is wrong with a data set, its classes and its sizes, before training."""

from imageclf.configs import command

main = command("analyse", __doc__)

if __name__ == "__main__":
    main()
